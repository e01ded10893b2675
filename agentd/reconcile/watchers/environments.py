"""State of environments: power, what is deployed, whether what runs is as many as is wanted, and why not. Pure."""

from collections.abc import Iterator, Mapping

from agentd.platform import Kind, Manifest, keys
from agentd.platform.cluster import FIELD_MANAGER
from agentd.reconcile.watchers.views import Fact, Json, Seen, Source, View

NAMESPACE = Kind("v1", "Namespace")
_CONFIG_MAP = Kind("v1", "ConfigMap")
_WORKLOADS = (Kind("apps/v1", "Deployment"), Kind("apps/v1", "StatefulSet"))
_MOST_SAID = 1000
_MANAGED = {keys.MANAGED_BY: FIELD_MANAGER}


def environments(owner_id: str) -> View:
    """The environments that are this agent's own."""
    labels = {**_MANAGED, keys.OWNER_ID: owner_id}
    sources = tuple(Source(kind, labels) for kind in (NAMESPACE, _CONFIG_MAP, *_WORKLOADS))
    return View("environment", sources, _read)


def environment_id_of(namespace: Manifest) -> str | None:
    """The environment that a namespace is; None for one that is none."""
    found: str | None = (namespace["metadata"].get("labels") or {}).get(keys.ENVIRONMENT_ID)
    return found


def _read(seen: Seen) -> Iterator[Fact]:
    for namespace in seen.get(NAMESPACE, ()):
        environment_id = environment_id_of(namespace)
        if environment_id is not None:
            yield Fact(f"environment/{environment_id}", _environment(namespace, seen))


def _environment(namespace: Manifest, seen: Seen) -> Mapping[str, Json]:
    marks = _marks(namespace)
    workloads = [_workload(found) for kind in _WORKLOADS for found in seen.get(kind, ())]
    deleting = "deletionTimestamp" in namespace["metadata"]
    generation = marks.get(keys.GENERATION, "")
    return {
        "name": namespace["metadata"]["name"],
        "phase": "deleting" if deleting else "hibernated" if marks.get(keys.POWER) == "hibernated" else "active",
        "generation": int(generation) if generation.isdecimal() else None,
        "airflow_version": marks.get(keys.AIRFLOW_VERSION),
        "ready": all(one["ready"] >= one["wanted"] for one in workloads),
        "message": _what_is_left(namespace) if deleting else "",
        "workloads": sorted(workloads, key=lambda one: (one["kind"], one["name"])),
        "projects": sorted(
            (project for record in seen.get(_CONFIG_MAP, ()) if (project := _project(record)) is not None),
            key=lambda project: (project["name"], project["id"]),
        ),
    }


def _project(record: Manifest) -> Mapping[str, Json] | None:
    """What is deployed of a project, as its record says; None for a config map that records no deployment."""
    marks = _marks(record)
    if keys.PROJECT_ID not in marks or keys.BUILD_ID not in marks:
        return None
    return {
        "id": marks[keys.PROJECT_ID],
        "name": marks.get(keys.PROJECT_NAME, ""),
        "build_id": marks[keys.BUILD_ID],
        "digest": marks.get(keys.IMAGE_DIGEST),
    }


def _workload(found: Manifest) -> Mapping[str, Json]:
    status = found.get("status") or {}
    wanted = (found.get("spec") or {}).get("replicas", 1)
    # What a controller has not looked at yet says nothing of what is wanted now.
    current = status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
    ready = status.get("readyReplicas", 0) if current else 0
    reason, message = ("", "") if ready >= wanted else _why(status)
    return {
        "kind": found["kind"].lower(),
        "name": found["metadata"]["name"],
        "wanted": wanted,
        "ready": ready,
        "reason": reason,
        "message": message[:_MOST_SAID],
    }


def _why(status: Mapping[str, Json]) -> tuple[str, str]:
    """What a workload's own conditions say is in the way; of Pods more is told by their failures."""
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    failing = conditions.get("ReplicaFailure", {})
    if failing.get("status") == "True":
        return failing.get("reason", ""), failing.get("message", "")
    for kind in ("Progressing", "Available"):
        if conditions.get(kind, {}).get("status") == "False":
            return conditions[kind].get("reason", ""), conditions[kind].get("message", "")
    return "", ""


def _what_is_left(namespace: Manifest) -> str:
    """What a namespace that is being deleted waits for."""
    conditions = (namespace.get("status") or {}).get("conditions") or ()
    told = (one["message"] for one in conditions if one.get("status") == "True" and one.get("message"))
    return "; ".join(told)[:_MOST_SAID]


def _marks(manifest: Manifest) -> Mapping[str, str]:
    metadata = manifest["metadata"]
    return {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
