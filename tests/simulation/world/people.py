"""The others in the account and in the cluster: pipelines that push, people with locks, and objects that are not the agent's.

What they do happens at once, meets no fault, and is not among the world's writes. It raises KeyError while it cannot be done:
what it needs is not there, or what it makes is there already.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from agentd.embedded.kube.controllers.controller import Hands
from agentd.embedded.kube.kinds import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES
from agentd.embedded.kube.objects import Json, Object, is_terminating, micro_timestamp
from agentd.embedded.kube.status import ApiError
from agentd.embedded.kube.store import Resource
from agentd.platform import keys
from agentd.platform.aws import tags
from agentd.platform.aws.ecr_reads import repository_object
from agentd.platform.aws.iam_names import role_name, role_object
from agentd.platform.cluster import FIELD_MANAGER
from handlers.environments.applying import identity_name
from handlers.manifests.lock import NAME as LOCK
from tests.simulation.world.ecr import MEDIA_TYPE, Ecr, Image, Repository, repository_arn
from tests.simulation.world.iam import Iam, Role, role_arn
from tests.simulation.world.kube import Kube
from tests.virtual_time import START

if TYPE_CHECKING:
    from tests.simulation.world.world import WorldSettings

_ACCOUNTS = ("", "serviceaccounts")
_LEASES = ("coordination.k8s.io", "leases")
_PIN = "pin"
_FINALIZER = "simulated/pin"
_STRANGER = "owner-of-another-agent"
_Place = tuple[Resource, str, str]


class People:
    """Everybody but the agent."""

    def __init__(self, settings: "WorldSettings", ecr: Ecr, iam: Iam, kube: Kube) -> None:
        self._settings = settings
        self._ecr = ecr
        self._iam = iam
        self._kube = kube
        self._hands = Hands(kube.state, manager="somebody")
        self._clouds: dict[str, tuple[Ecr | Iam, str, Repository | Role]] = {}
        self._objects: dict[_Place, tuple[Object, str]] = {}
        self._create(NAMESPACES, "", settings.cluster.system_namespace)
        self._create(_ACCOUNTS, settings.cluster.system_namespace, "default")

    # -- pipelines and people ------------------------------------------------------------------------------------------

    def push(self, project_name: str, build_id: str) -> str:
        """A pipeline pushes a build; its digest, the same for the same build."""
        name = self._repository(project_name)
        repository = self._ecr.shelf.get(name)
        if repository is None:
            raise KeyError(name)
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MEDIA_TYPE, "annotations": {"build": build_id}})
        digest = f"sha256:{sha256(manifest.encode()).hexdigest()}"
        image = Image(digest, manifest, MEDIA_TYPE, self._now(), (build_id,))
        self._ecr.shelf.put(name, replace(repository, images={**repository.images, digest: image}))
        return digest

    def delete_repository(self, project_name: str) -> None:
        """Somebody deletes a project's repository by hand."""
        name = self._repository(project_name)
        if self._ecr.shelf.get(name) is None:
            raise KeyError(name)
        self._ecr.shelf.put(name, None)
        self._clouds.pop(repository_object(name), None)

    def delete_namespace(self, name: str) -> None:
        """Somebody deletes a namespace by hand."""
        self._hands.delete(NAMESPACES, self._there(NAMESPACES, "", name))
        self._objects.pop((NAMESPACES, "", name), None)

    def lock(self, environment_name: str, holder: str, *, lasts_s: float, ago_s: float = 0.0) -> None:
        """Somebody takes the environment's lock, or has renewed it for the last time a while ago."""
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": int(lasts_s),
            "renewTime": micro_timestamp(self._now() - ago_s),
        }
        self._set(_LEASES, environment_name, LOCK, spec=spec)

    def unlock(self, environment_name: str) -> None:
        """The holder lets the lock go."""
        self._set(_LEASES, environment_name, LOCK, spec={})

    def pin(self, environment_name: str) -> None:
        """Something in the namespace has a finalizer that nobody takes off: the namespace does not end."""
        self._create(CONFIG_MAPS, environment_name, _PIN, finalizers=[_FINALIZER])

    def unpin(self, environment_name: str) -> None:
        """The finalizer comes off."""
        pinned = self._there(CONFIG_MAPS, environment_name, _PIN)
        self._hands.change(CONFIG_MAPS, pinned, lambda new: new["metadata"].pop("finalizers"))

    def workload(self, environment_name: str, environment_id: str, name: str, replicas: int) -> None:
        """A workload of the agent's in an environment, for it to stop and start."""
        labels = {**_marks(self._settings.owner_id, environment_id), keys.GENERATION: "1"}
        container = {"name": "main", "image": "registry.simulated/main:1"}
        template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
        self._create(DEPLOYMENTS, environment_name, name, labels=labels, spec=spec)

    def replicas(self, environment_name: str, name: str) -> int:
        """How many replicas a workload is to have."""
        wanted: int = self._there(DEPLOYMENTS, environment_name, name)["spec"]["replicas"]
        return wanted

    # -- what is not the agent's ---------------------------------------------------------------------------------------

    def plant(self) -> None:
        """Objects that nobody should touch: of another agent, and of nobody that is known."""
        prefix, system = self._settings.registry.repository_prefix, self._settings.cluster.system_namespace
        self._plant_repository(f"{prefix}/project/of-another-agent", _tags("project/foreign"))
        self._plant_repository(f"{prefix}/project/of-nobody", {})
        self._plant_role(f"{self._settings.identities.role_prefix}of-another-agent", _tags("environment/foreign"))
        self._plant(NAMESPACES, "", "of-nobody")
        self._plant(CONFIG_MAPS, system, "of-another-agent", labels=_marks(_STRANGER, "foreign"))

    def plant_repository(self, project_name: str) -> str:
        """A repository of another agent's where a project's would be; its name, as fences spell it."""
        return self._plant_repository(self._repository(project_name), _tags("project/foreign"))

    def plant_role(self, environment_name: str) -> str:
        """A role of another agent's where an environment's would be; its name, as fences spell it."""
        name = role_name(self._settings.identities.role_prefix, identity_name(environment_name))
        return self._plant_role(name, _tags("environment/foreign"))

    def plant_namespace(self, name: str) -> None:
        """A namespace of nobody's where an environment's would be."""
        self._plant(NAMESPACES, "", name)

    def plant_inside(self, environment_name: str, environment_id: str) -> None:
        """Objects of nobody's, and of another agent's for the same environment. With their namespace they may go."""
        self._plant(CONFIG_MAPS, environment_name, "of-nobody")
        labels = {**_marks(_STRANGER, environment_id), keys.COMPONENT: "environment"}
        self._plant(CONFIG_MAPS, environment_name, "of-another-agent", labels=labels)

    def disturbed(self) -> Sequence[str]:
        """What has been planted and is not as it was."""
        clouds = [obj for obj, (service, name, left) in self._clouds.items() if service.shelf.get(name) is not left]
        return [*clouds, *("/".join((*place[0], *place[1:])) for place in self._objects if not self._stands(place))]

    # -- how -----------------------------------------------------------------------------------------------------------

    def _stands(self, place: _Place) -> bool:
        item, namespace_uid = self._objects[place]
        if self._hands.get(*place) is item:
            return True
        namespace = self._hands.get(NAMESPACES, "", place[1]) if place[1] else None
        return bool(place[1]) and (
            namespace is None or is_terminating(namespace) or namespace["metadata"]["uid"] != namespace_uid
        )

    def _plant_repository(self, name: str, marks: Mapping[str, str]) -> str:
        made = Repository(
            name=name,
            arn=repository_arn(name),
            created_s=self._now(),
            tags=marks,
            mutability="MUTABLE",
            scan_on_push=False,
            encryption={"encryptionType": "AES256"},
        )
        return self._plant_thing(self._ecr, repository_object(name), made)

    def _plant_role(self, name: str, marks: Mapping[str, str]) -> str:
        path = self._settings.identities.path
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        made = Role(
            name=name,
            arn=role_arn(path, name),
            created_s=self._now(),
            tags=marks,
            path=path,
            trust=trust,
            description="",
            max_session_s=3600,
        )
        return self._plant_thing(self._iam, role_object(name), made)

    def _plant_thing(self, service: Any, obj: str, made: Repository | Role) -> str:
        if service.shelf.get(made.name) is not None:
            raise KeyError(obj)
        service.shelf.put(made.name, made)
        self._clouds[obj] = (service, made.name, made)
        return obj

    def _plant(self, resource: Resource, namespace: str, name: str, **metadata: Json) -> None:
        item = self._create(resource, namespace, name, **metadata)
        within = self._hands.get(NAMESPACES, "", namespace) if namespace else None
        self._objects[resource, namespace, name] = (item, within["metadata"]["uid"] if within else "")

    def _create(self, resource: Resource, namespace: str, name: str, spec: Json = None, **metadata: Json) -> Object:
        item = {"metadata": {"name": name, **metadata}} | ({} if spec is None else {"spec": spec})
        try:
            return self._hands.create(resource, namespace, item)
        except ApiError as error:
            raise KeyError(error.message) from error

    def _set(self, resource: Resource, namespace: str, name: str, *, spec: Json) -> None:
        self._hands.change(resource, self._there(resource, namespace, name), lambda new: new.update(spec=spec))

    def _there(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self._hands.get(resource, namespace, name)
        if found is None:
            raise KeyError(f"{namespace}/{name}")
        return found

    def _repository(self, project_name: str) -> str:
        return self._settings.registry.defaults().name("project", project_name)

    def _now(self) -> float:
        return START + asyncio.get_running_loop().time()


def _tags(subject: str) -> dict[str, str]:
    return {tags.MANAGED_BY: tags.AGENT, tags.OWNER_ID: _STRANGER, tags.SUBJECT: subject, tags.GENERATION: "1"}


def _marks(owner_id: str, environment_id: str) -> dict[str, str]:
    return {keys.MANAGED_BY: FIELD_MANAGER, keys.OWNER_ID: owner_id, keys.ENVIRONMENT_ID: environment_id}
