"""At rest the world is as the newest accepted events want it. What that is, a small model says (`tests.simulation.model`)."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from agentd.platform import keys
from tests.simulation.book import End
from tests.simulation.invariants.claims import DEPLOYED
from tests.simulation.model import SubjectModel
from tests.simulation.plan import Act, Intent
from tests.simulation.scene import Checker
from tests.simulation.world import Api, Seen

RETAINED = "conveyor.internal/retained"

_SHOWN_WITHIN_S = 2.5  # an image that has just been pushed may not be seen yet


class AsWanted(Checker):
    """I2 to I5 in their effect: nothing is missing, nothing is stale, nothing has come back."""

    name = "world"

    def on_rest(self) -> None:
        self._objects = self.scene.world.objects()
        self._late = {
            write.obj
            for write in self.scene.world.writes
            if write.late and write.changed and (write.api is Api.UNCONDITIONAL or write.before is None)
        }
        for subject, model in self.scene.book.models.items():
            kind, _, uuid = subject.partition("/")
            match kind:
                case "project" | "package":
                    self._repository(subject, kind, model)
                case "environment":
                    self._environment(subject, uuid, model)
                case _:
                    self._build(uuid)

    # -- projects and packages -----------------------------------------------------------------------------------------

    def _repository(self, subject: str, kind: str, model: SubjectModel) -> None:
        newest = model.newest("spec")
        if newest is None or not self.scene.succeeded(newest):
            return
        name = newest.data[f"{kind}_name"]
        obj = f"ecr:repository/{self.scene.world.settings.registry.defaults().name(kind, name)}"
        found = self._own(obj, subject)
        record = f"kubernetes:{self._system}/configmap/project-{_kubernetes_name(name)}"
        if newest.data_class.deletes:
            retained = newest.data.get("retention") == "retain"
            if found is not None and not (retained and _tags(found).get(RETAINED) == "true"):
                self._wrong("I5", obj, f"is there, although {newest} has succeeded")
            if kind == "project" and self._own(record, subject) is not None:
                self._wrong("I5", record, f"is there, although {newest} has succeeded")
            return
        if found is None:
            self._wrong("world", obj, f"is not there, although {newest} has succeeded")
        elif _tags(found).get(RETAINED) == "true":
            self._wrong("world", obj, f"is marked as left behind, although {newest} has succeeded")
        elif (found.marks.generation or 0) < newest.generation:
            self._wrong("world", obj, f"carries generation {found.marks.generation}; {newest} has succeeded")
        elif found.content["lifecycle"] is None:
            self._wrong("world", obj, f"has no lifecycle policy, although {newest} has succeeded")
        if kind == "project":
            self._configuration(record, subject, model)

    def _configuration(self, record: str, subject: str, model: SubjectModel) -> None:
        newest, wish = model.newest("config"), model.desired().get("config")
        if newest is None or newest.data_class.deletes or wish is None or not self.scene.succeeded(newest):
            return
        wanted = {"id": wish["project_id"], "name": wish["project_name"], "settings": dict(wish.get("settings") or {})}
        found = self._own(record, subject)
        data: Mapping[str, Any] = found.content["data"] if found is not None else {}  # type: ignore[assignment]
        told = {"id": data.get("id"), "name": data.get("name"), "settings": json.loads(data.get("settings.json", "{}"))}
        if told != wanted or data.get("default-identity") != wish.get("default_identity"):
            self._wrong("world", record, f"says {dict(data)}; {newest} wants {wish}")

    def _build(self, build_id: str) -> None:
        """A build that was cleaned up is gone, unless it was pushed after that had begun."""
        grants = [grant for grant in self.scene.book.grants if grant.intent.subject.uuid == build_id]
        begun = {grant.key: grant for grant in reversed(grants)}
        pushed_at = self.scene.pushed.get(build_id, 0.0)
        for grant in begun.values():
            if not self.scene.succeeded(grant.intent) or pushed_at > grant.at - _SHOWN_WITHIN_S:
                continue
            for obj, seen in self._objects.items():
                if seen.kind == "Image" and build_id in seen.content["tags"]:  # type: ignore[operator]
                    self._wrong("world", obj, f"is there, although {grant.intent} has succeeded")

    # -- environments --------------------------------------------------------------------------------------------------

    def _environment(self, subject: str, uuid: str, model: SubjectModel) -> None:
        newest, last = model.newest("existence"), self._last(subject)
        if newest is None or last is None or not self.scene.succeeded(last):
            return
        name = newest.data["environment_name"]
        namespace = self._own(f"kubernetes:namespace/{name}", subject)
        if newest.data_class.deletes:
            if self.scene.succeeded(newest):
                self._gone(subject, name, namespace, newest)
            return
        if namespace is None or namespace.terminating:
            self._wrong("world", f"kubernetes:namespace/{name}", f"is not there, although {last} has succeeded")
            return
        for obj, what, is_so, wanted in self._facts(subject, name, namespace, model):
            if is_so != wanted:
                self._wrong("world", obj, f"{what} is {is_so}; {last} has succeeded, and the newest wish is {wanted}")
        deploy = model.newest("projects")
        if deploy is None or deploy.data_class.deletes or not self.scene.succeeded(deploy):
            return
        if not self._was_deleted_since(subject, deploy):
            self._deployed(subject, name, deploy)

    def _was_deleted_since(self, subject: str, deploy: Intent) -> bool:
        """Whether an older delete has come after a deploy: the create that follows brings no project back."""
        ends = self.scene.book.ends.values()
        deleted = [end.at for end in ends if end.record.subject == subject and self._has_deleted(end)]
        deployed = self.scene.book.end_of(f"event/{deploy.event_id}")
        return deployed is not None and any(at > deployed.at for at in deleted)

    def _has_deleted(self, end: End) -> bool:
        intent, outcome = self.scene.book.intent(end.record.key), end.record.outcome
        has_succeeded = outcome is not None and outcome.kind == "succeeded"
        return intent is not None and intent.data_class.deletes and has_succeeded

    def _gone(self, subject: str, name: str, namespace: Seen | None, newest: Intent) -> None:
        left = [obj for obj, seen in self._objects.items() if seen.marks.subject == subject and not seen.terminating]
        if namespace is not None:
            left.append(f"kubernetes:namespace/{name}")
        if f"kubernetes:namespace/{name}" not in self._objects:  # else another environment may have the name, and marks
            left += [obj for obj, seen in self._objects.items() if seen.kind == "Image" and name in _deployed_to(seen)]
        for obj in left:
            self._wrong("I5", obj, f"is there, although {newest} has succeeded")

    def _facts(
        self, subject: str, name: str, namespace: Seen, model: SubjectModel
    ) -> Iterator[tuple[str, str, object, object]]:
        """Object, what of it, how it is, how it should be: one for each part of what can be asked for."""
        desired = model.desired()
        spec, power = desired["spec"], desired.get("power") or "awake"
        labels: Mapping[str, str] = namespace.content["labels"]  # type: ignore[assignment]
        notes: Mapping[str, str] = namespace.content.get("annotations", {})  # type: ignore[assignment]
        obj = namespace.obj
        yield obj, "power", labels.get(keys.POWER), power
        yield obj, "protection", notes.get(keys.DELETION_PROTECTION), "true" if spec["deletion_protection"] else "false"
        yield obj, "description", notes.get(keys.DESCRIPTION), spec["description"]
        yield obj, "version", notes.get(keys.AIRFLOW_VERSION), spec["airflow_version"]
        quota = self._own(f"kubernetes:{name}/resourcequota/environment", subject)
        hard: Mapping[str, str] = {} if quota is None else quota.content["spec"]["hard"]  # type: ignore[index]
        yield f"kubernetes:{name}/resourcequota/environment", "cpu", hard.get("requests.cpu"), spec["quotas"]["cpu"]
        yield f"kubernetes:{name}/resourcequota/environment", "pods", hard.get("pods"), str(spec["quotas"]["pods"])
        internet = f"kubernetes:{name}/networkpolicy/allow-internet"
        yield internet, "presence", self._own(internet, subject) is not None, spec["network_egress"]["internet"]
        role = f"iam:role/conveyor-environment-{name}"
        yield role, "presence", self._own(role, subject) is not None, spec["iam_identity"] is None
        yield from self._workloads(subject, name, power)

    def _workloads(self, subject: str, name: str, power: str) -> Iterator[tuple[str, str, object, object]]:
        """Whatever was there before the last event had its turn runs as it was meant to, or does not run."""
        last = self.scene.book.latest[subject]
        obj = f"kubernetes:{name}/deployment/web"
        seen, planted_at = self._own(obj, subject), self.scene.done.get(("workload", name), float("inf"))
        if seen is None or planted_at > last.at:
            return
        replicas: int = seen.content["spec"]["replicas"]  # type: ignore[index]
        acts = [dict(act.arguments) for act in self.scene.plan.of(Act) if act.what == "workload"]
        meant = [act["replicas"] for act in acts if subject == f"environment/{act['environment_id']}"]
        wanted = 0 if power != "awake" else replicas if replicas in meant else meant[0]
        yield obj, "replicas", replicas, wanted

    def _deployed(self, subject: str, name: str, deploy: Intent) -> None:
        wanted = {
            project["project_name"]: project["build_id"]
            for project in deploy.data["projects"]
            if project.get("action") != "delete"
        }
        records = {
            seen.content["data"]["name"]: seen.content["data"]["build-id"]  # type: ignore[index]
            for obj, seen in self._objects.items()
            if obj.startswith(f"kubernetes:{name}/configmap/project-") and seen.marks.subject == subject
        }
        if records != wanted:
            self._wrong("world", f"kubernetes:namespace/{name}", f"has {records} deployed; {deploy} has succeeded")
        prefix = f"ecr:image/{self.scene.world.settings.registry.defaults().name('project', '')}"
        marked = {
            (obj.removeprefix(prefix).partition("@")[0], tag)
            for obj, seen in self._objects.items()
            if seen.kind == "Image" and name in _deployed_to(seen)
            for tag in seen.content["tags"]  # type: ignore[attr-defined]
            if not tag.startswith(DEPLOYED)
        }
        if marked != set(wanted.items()) and not any(obj.startswith("ecr:image/") for obj in self._late):
            self._wrong(
                "world", f"kubernetes:namespace/{name}", f"has marks on {sorted(marked)}; {deploy} has succeeded"
            )

    # -- how it is found out -------------------------------------------------------------------------------------------

    @property
    def _system(self) -> str:
        return self.scene.world.settings.cluster.system_namespace

    def _own(self, obj: str, subject: str) -> Seen | None:
        seen = self._objects.get(obj)
        return seen if seen is not None and seen.marks.subject == subject else None

    def _last(self, subject: str) -> Intent | None:
        """Whoever had the subject last: he has brought about all that was wanted then."""
        grants = [grant.intent for grant in self.scene.book.grants if grant.subject == subject]
        changes = [intent for intent in grants if intent.data_class.facets]
        return changes[-1] if changes and grants else None

    def _wrong(self, invariant: str, obj: str, what: str) -> None:
        if obj not in self._late:
            self.scene.violated(invariant, f"at rest {obj} {what}")


def _tags(seen: Seen) -> Mapping[str, str]:
    tags: Mapping[str, str] = seen.content["tags"]  # type: ignore[assignment]
    return tags


def _deployed_to(seen: Seen) -> list[str]:
    return [tag.removeprefix(DEPLOYED) for tag in seen.content["tags"] if tag.startswith(DEPLOYED)]  # type: ignore[attr-defined]


def _kubernetes_name(name: str) -> str:
    return name.replace("_", ".")
