"""Handlers on a real cluster port and a real registry port; every write is counted where it arrives."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from agentd.core import Handler, Plan
from agentd.embedded import EmbeddedCloud
from agentd.events import (
    EnvironmentCreate,
    EnvironmentDelete,
    EnvironmentDeploy,
    EnvironmentHibernate,
    EnvironmentSpec,
    EnvironmentUnlock,
    EnvironmentUpdate,
    EnvironmentWake,
    EventData,
    ProjectConfigure,
    ProjectCreate,
    ProjectDelete,
    ProjectDeployment,
)
from agentd.platform import AirflowDefaults, Cluster, ClusterDefaults, Kind, Manifest, ObjectRef
from agentd.platform.aws.session import AwsSession
from agentd.platform.config import ClusterConfig
from agentd.platform.kubernetes import KubernetesCluster
from agentd.telemetry import Metrics
from handlers import HANDLERS
from handlers.manifests import INSIDE, PROJECT_KINDS
from handlers.manifests.airflow import PRUNED
from handlers.manifests.kinds import CONFIG_MAP, NAMESPACE, PERSISTENT_VOLUME_CLAIM, SECRET
from tests.conformance.cluster.relay import Relay
from tests.conformance.cluster.support import Hands, Server, adapter, relayed, write_kubeconfig
from tests.conformance.registry.support import Bench, RecordingFence
from tests.conformance.registry.support import bench as registry_bench
from tests.unit.handlers.context import Control, HandlerContext

BY_EVENT: Mapping[type[Any], Handler] = {handler.event: handler for handler in HANDLERS}


Way = Callable[[str], AbstractAsyncContextManager[Relay]]


_DEADLINE_S = 20.0


@dataclass(frozen=True)
class Project:
    """A project, and the builds that have been pushed for it: digests by build id."""

    id: str
    name: str
    builds: dict[str, str] = field(default_factory=dict)

    def deployment(self, build_id: str | None = None, **more: Any) -> ProjectDeployment:
        """The first build, unless another one is given."""
        build = build_id or next(iter(self.builds), str(uuid4()))
        return ProjectDeployment.model_validate(
            {"project_id": self.id, "project_name": self.name, "build_id": build, **more}, strict=False
        )


@dataclass
class World:
    """One installation, with one environment of its own."""

    control: Control
    cluster: KubernetesCluster
    relay: Relay
    hands: Hands
    registry: Bench
    cloud: EmbeddedCloud
    defaults: ClusterDefaults
    name: str
    environment_id: str

    # -- events --------------------------------------------------------------------------------------------------------

    def create(self, **spec: Any) -> EnvironmentCreate:
        return EnvironmentCreate(
            environment_id=self.environment_id, environment_name=self.name, spec=EnvironmentSpec(**spec)
        )

    def update(self, **spec: Any) -> EnvironmentUpdate:
        return EnvironmentUpdate(
            environment_id=self.environment_id, environment_name=self.name, spec=EnvironmentSpec(**spec)
        )

    def deploy(self, *projects: ProjectDeployment, **spec: Any) -> EnvironmentDeploy:
        return EnvironmentDeploy(
            environment_id=self.environment_id,
            environment_name=self.name,
            spec=EnvironmentSpec(**spec),
            projects=projects,
        )

    def hibernate(self) -> EnvironmentHibernate:
        return EnvironmentHibernate(environment_id=self.environment_id, environment_name=self.name)

    def wake(self) -> EnvironmentWake:
        return EnvironmentWake(environment_id=self.environment_id, environment_name=self.name)

    def unlock(self) -> EnvironmentUnlock:
        return EnvironmentUnlock(environment_id=self.environment_id, environment_name=self.name)

    def delete(self) -> EnvironmentDelete:
        return EnvironmentDelete(environment_id=self.environment_id, environment_name=self.name)

    # -- running them --------------------------------------------------------------------------------------------------

    async def run(self, data: EventData, generation: int = 1, *, event_id: str | None = None) -> RecordingFence:
        """One event from beginning to end."""
        return await self.control.run(BY_EVENT[type(data)], data, generation=generation, event_id=event_id)

    async def plan(self, data: EventData, generation: int = 1) -> Plan:
        """What an event would change if it came now."""
        return await self.control.plan(BY_EVENT[type(data)], data, generation=generation)

    def begin(self, data: EventData, generation: int = 1) -> HandlerContext:
        """Claim an event, and give what it is to be resumed with."""
        return self.control.context(BY_EVENT[type(data)], data, generation=generation)

    async def resume(self, data: EventData, context: HandlerContext) -> None:
        """One attempt."""
        await self.control.resume(BY_EVENT[type(data)], data, context)

    async def project(self, name: str = "shop", *, builds: int = 1, identity: str | None = None) -> Project:
        """A project that has been created, with builds pushed."""
        project = Project(str(uuid4()), name)
        await self.run(ProjectCreate(project_id=project.id, project_name=name, default_identity=identity))
        for _ in range(builds):
            await self.push(project)
        return project

    async def push(self, project: Project, build_id: str | None = None) -> str:
        """Push a build; its id."""
        build = build_id or str(uuid4())
        project.builds[build] = await self.registry.hands.push(self.registry.name(project.name), build)
        return build

    async def configure(self, project: Project, generation: int = 2, **data: Any) -> RecordingFence:
        event = ProjectConfigure(project_id=project.id, project_name=project.name, **data)
        return await self.run(event, generation)

    async def drop(self, project: Project, generation: int = 9, **data: Any) -> RecordingFence:
        return await self.run(ProjectDelete(project_id=project.id, project_name=project.name, **data), generation)

    # -- looking -------------------------------------------------------------------------------------------------------

    async def writes(self) -> Counter[str]:
        """What has been written since the last look, to the cluster and to the registry."""
        seen = Counter(f"{call.method} {_target(call.path, call.body)}" for call in self.relay.writes)
        self.relay.calls.clear()
        seen.update({operation: count for (_, operation), count in self.cloud.writes(await self.cloud.calls()).items()})
        await self.cloud.reset_calls()
        return seen

    async def namespace(self) -> Manifest | None:
        return await self.cluster.get(ObjectRef(NAMESPACE, self.name))

    async def get(self, kind: Kind, name: str) -> Manifest | None:
        """An object in the environment's namespace."""
        return await self.cluster.get(ObjectRef(kind, name, self.name))

    async def seen(self, kind: Kind, name: str) -> Manifest:
        """One that is there."""
        found = await self.get(kind, name)
        assert found is not None
        return found

    async def record(self, project: Project) -> Manifest | None:
        """What the environment says of a project."""
        return await self.get(CONFIG_MAP, f"project-{project.name.replace('_', '.')}")

    async def objects(self) -> set[str]:
        """What the agent has in the environment's namespace, as kind/name."""
        found = [
            await self.cluster.list(
                kind, namespace=self.name, labels={"conveyor.internal/environment-id": self.environment_id}
            )
            for kind in sorted({*INSIDE, *PROJECT_KINDS, *PRUNED, SECRET, PERSISTENT_VOLUME_CLAIM})
        ]
        return {f"{item['kind']}/{_plain(item)}" for items in found for item in items}

    async def deployed(self, project: Project) -> dict[str, tuple[str, ...]]:
        """The environments that use each of the project's builds."""
        images = await self.registry.registry.images(self.registry.name(project.name))
        return {tag: image.deployed_to for image in images for tag in image.tags if tag in project.builds}


def _plain(item: Manifest) -> str:
    """An object's name; of a Job without the digest at its end."""
    name: str = item["metadata"]["name"]
    return name.rpartition("-")[0] if item["kind"] == "Job" else name


def _target(path: str, body: Any) -> str:
    *_, last = path.strip("/").split("/")
    return f"{last}/{body['metadata']['name']}" if body and path.endswith(f"/{last}") and _is_collection(path) else last


def _is_collection(path: str) -> bool:
    parts = path.strip("/").split("/")
    root = 2 if parts[0] == "api" else 3
    inside = parts[root:]
    if inside[0] == "namespaces" and len(inside) > 2:
        inside = inside[2:]
    return len(inside) == 1


@asynccontextmanager
async def world(
    server: Server, session: AwsSession, cloud: EmbeddedCloud, folder: Path, *, way: Way | None = None
) -> AsyncIterator[World]:
    """An installation that nobody else uses. Its agent is the cluster's administrator, unless it is given another way there:

    one that goes out from the agent's own namespace.
    """
    unique = uuid4().hex[:12]
    system = f"system-{unique}"
    await server.hands.call("POST", "/api/v1/namespaces", {"metadata": {"name": system}})
    # As in every namespace that has been there for a moment: pods need it.
    async with asyncio.timeout(_DEADLINE_S):
        while await server.hands.get(f"/api/v1/namespaces/{system}/serviceaccounts/default") is None:
            pass
    defaults = ClusterDefaults(system_namespace=system, delete_wait_s=1.0)
    async with (
        relayed(server) if way is None else way(system) as relay,
        registry_bench(session, call_timeout_s=5) as registry,
    ):
        kubeconfig = write_kubeconfig(folder / "kubeconfig", relay.url, {"token": "a token"})
        config = ClusterConfig.model_validate(
            {"access": "kubeconfig", "kubeconfig": kubeconfig, "system_namespace": system}
        )
        async with adapter(config, Metrics()) as cluster:
            ports = {Cluster: cluster, ClusterDefaults: defaults, AirflowDefaults: AirflowDefaults()}
            control = Control(registry, ports)
            name = f"e{unique}"
            made = World(control, cluster, relay, server.hands, registry, cloud, defaults, name, str(uuid4()))
            yield made
    for namespace in (system, name):
        if await server.hands.get(f"/api/v1/namespaces/{namespace}"):
            await server.hands.delete(f"/api/v1/namespaces/{namespace}")
