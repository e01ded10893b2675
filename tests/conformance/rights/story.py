"""Everything that handlers and the proxy do in a cluster, act by act: each of them may be begun again until it succeeds."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from uuid import uuid4

from grpclib import GRPCError
from grpclib.client import Channel, Stream

from agentd.app.states import views
from agentd.core import NoAudit, NotReady, PermanentError, Reason, system_runtime
from agentd.events import EventData, ProjectConfigure, ProjectCreate, ProjectDelete, Quotas
from agentd.platform import AirflowDefaults, Change, keys
from agentd.platform.origin import object_of, origin
from agentd.reconcile.watchers import Source
from agentd.telemetry import Health, Metrics
from handlers.manifests.kinds import DEPLOYMENT, JOB, STATEFUL_SET
from proxy.config import ProxyConfig
from proxy.generated.v1 import cluster_grpc, cluster_pb2, environments_grpc, environments_pb2
from proxy.server import Proxy
from tests.conformance.cluster.relay import Seen
from tests.unit.handlers.test_power import marks_of, start_workloads
from tests.unit.handlers.world import Project, World
from tests.unit.proxy.fakes import Agent

_ATTEMPTS = 30
_DEADLINE_S = 20.0


@dataclass(frozen=True)
class Act:
    """Something that is done with the agent's rights. The scene is set before it, and cleared before its end, by hand.

    `put_back` undoes what an attempt has done: of what is done side by side, all but what is refused may be done by then.
    """

    name: str
    attempt: Callable[[], Awaitable[None]]
    set_up: Callable[[], Awaitable[object]] | None = None
    put_back: Callable[[], Awaitable[object]] | None = None
    clear: Callable[[], Awaitable[object]] | None = None

    async def refusal(self) -> str | None:
        """In which words it is refused for want of a right, or None. What is held up waits in vain, and is tried once."""
        try:
            await self._attempts(1 if self.clear is not None else _ATTEMPTS)
        except PermanentError as error:
            if error.reason is not Reason.ACCESS_DENIED:
                raise
            return error.message
        except GRPCError as error:
            if Reason.ACCESS_DENIED.name not in {getattr(detail, "reason", "") for detail in error.details or ()}:
                raise
            return error.message
        return None

    async def finish(self) -> None:
        """To the end."""
        if self.clear is not None:
            await self.clear()
        waits = await self._attempts(_ATTEMPTS)
        assert waits is None, f"{self.name} does not end: {waits}"

    async def _attempts(self, most: int) -> str | None:
        """What it waits for after so many attempts; None once it has ended."""
        waits = None
        for _ in range(most):
            try:
                await self.attempt()
            except NotReady as error:
                waits = error.message
            else:
                return None
        return waits


class Story:
    """Of one environment and two projects. Generations grow from act to act."""

    def __init__(self, at: World) -> None:
        self._at = at
        self._shop = Project(str(uuid4()), "shop")
        self._lib = Project(str(uuid4()), "lib")

    def of_projects(self) -> list[Act]:
        """A project from its creation to its end."""
        shop = self._shop
        return [
            self._event(1, self._creation(shop)),
            self._event(2, ProjectConfigure(project_id=shop.id, project_name=shop.name, settings={"a": "1"})),
            self._event(9, ProjectDelete(project_id=shop.id, project_name=shop.name, force=True)),
        ]

    def of_everything(self) -> list[Act]:
        """Projects, an environment that they are deployed to, and questions about it."""
        at = self._at
        create, configure, delete = self.of_projects()
        return [
            create,
            configure,
            self._event(1, self._creation(self._lib)),
            self._event(1, at.create(quotas=Quotas(pods=100)), set_up=self._choose, put_back=self._stop_by_hand),
            self._event(3, at.update(), set_up=self._plant),
            Act("held up deploy", lambda: self._deploy(4, self._lib), set_up=self._fill_up, clear=self._make_room),
            Act("first deploy", lambda: self._deploy(5, self._shop, self._lib)),
            Act("second deploy", lambda: self._deploy(6, self._shop)),
            self._event(7, at.hibernate(), put_back=self._start_by_hand),
            self._event(8, at.wake()),
            self._event(8, at.unlock(), set_up=self._abandon_lock),
            Act("questions", self._ask),
            Act("origins", self._lead_back),
            Act("states", self._watch_states),
            self._event(9, at.delete(), set_up=self._hold, clear=self._let_go),
            delete,
        ]

    def _event(self, generation: int, data: EventData, **more: Any) -> Act:
        return Act(type(data).__name__, lambda: self._run(data, generation), **more)

    async def _run(self, data: EventData, generation: int) -> None:
        await self._at.resume(data, self._at.begin(data, generation))

    def _creation(self, project: Project) -> EventData:
        return ProjectCreate(project_id=project.id, project_name=project.name, default_identity="x")

    async def _deploy(self, generation: int, *projects: Project) -> None:
        await self._run(self._at.deploy(*(project.deployment() for project in projects)), generation)

    async def _fill_up(self) -> None:
        """Push the builds, and leave no room for the pod that reads them."""
        await self._at.push(self._shop)
        await self._at.push(self._lib)
        quota = {"metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}}
        await self._at.hands.call("POST", f"{_CORE}/namespaces/{self._at.name}/resourcequotas", quota)

    async def _make_room(self) -> None:
        await self._at.hands.delete(f"{_CORE}/namespaces/{self._at.name}/resourcequotas/full")

    async def _plant(self) -> None:
        """What runs in the environment, and what an older version of the agent has left of every kind."""
        at = self._at
        marks = await marks_of(at)
        await start_workloads(at, marks)
        for component, left in (("environment", _LEFTOVERS), ("airflow", _LEFT_OF_AIRFLOW)):
            for root, plural, body in left:
                manifest = {**body, "metadata": {"name": "leftover", "labels": {**marks, keys.COMPONENT: component}}}
                await at.hands.call("POST", f"{root}/namespaces/{at.name}/{plural}", manifest)

    async def _choose(self) -> None:
        """An Airflow of which there is something of every kind."""
        self._at.control.ports[AirflowDefaults] = AirflowDefaults(api_server_replicas=2)

    async def _stop_by_hand(self) -> None:
        """As if nothing had been started yet, so that it is waited for."""
        at = self._at
        for kind, plural in ((STATEFUL_SET, "statefulsets"), (JOB, "jobs"), (DEPLOYMENT, "deployments")):
            for found in await at.cluster.list(kind, namespace=at.name):
                path = f"/apis/{kind.api_version}/namespaces/{at.name}/{plural}/{found['metadata']['name']}"
                await at.hands.delete(path, propagationPolicy="Background")
                await at.hands.until(path, lambda left: left is None)

    async def _start_by_hand(self) -> None:
        """As if nobody had stopped anything."""
        for plural, name, replicas in (("deployments", "web", 2), ("statefulsets", "db", 1)):
            body = {"metadata": {"annotations": {keys.REPLICAS: None}}, "spec": {"replicas": replicas}}
            await self._at.hands.patch(f"/apis/apps/v1/namespaces/{self._at.name}/{plural}/{name}", body)

    async def _abandon_lock(self) -> None:
        lease = f"/apis/coordination.k8s.io/v1/namespaces/{self._at.name}/leases/conveyor-environment"
        dead = {"holderIdentity": "x", "leaseDurationSeconds": 1, "renewTime": "2020-01-01T00:00:00.000000Z"}
        await self._at.hands.patch(lease, {"spec": dead})

    async def _hold(self) -> None:
        """Keep the namespace from going until it is let go."""
        metadata = {"name": "held", "finalizers": ["example.com/held"]}
        await self._at.hands.call("POST", f"/api/v1/namespaces/{self._at.name}/configmaps", {"metadata": metadata})

    async def _let_go(self) -> None:
        path = f"/api/v1/namespaces/{self._at.name}/configmaps/held"
        await self._at.hands.patch(path, {"metadata": {"finalizers": None}})

    async def _ask(self) -> None:
        """What the proxy answers from the cluster."""
        async with _proxy(self._at) as channel:
            nodes = cluster_pb2.GetNodesRequest()
            await cluster_grpc.ClusterStub(channel).GetNodes(nodes, timeout=_DEADLINE_S)
            environments = environments_grpc.EnvironmentsStub(channel)
            await environments.List(environments_pb2.EnvironmentsListRequest(), timeout=_DEADLINE_S)
            async with environments.Watch.open(timeout=_DEADLINE_S) as stream:
                await stream.send_message(environments_pb2.EnvironmentsWatchRequest(), end=True)
                await self._watched(stream)
                await stream.cancel()

    async def _lead_back(self) -> None:
        """From a pod, and whatever may stand above one, to its event."""
        above = ("pod", "replicaset", "deployment", "statefulset", "job", "serviceaccount")
        for text in (*(f"{kind}/{self._at.name}/nothing" for kind in above), f"namespace/{self._at.name}"):
            ref = object_of(text)
            assert ref is not None
            await origin(self._at.cluster, ref, owner_id=self._at.control.at.owner_id)

    async def _watch_states(self) -> None:
        """All that states are read from: every watch once, until it stands."""
        for source in {source.kind: source for view in views("nobody") for source in view.sources}.values():
            await self._stand(source)

    async def _stand(self, source: Source) -> None:
        """Until a watch of the source stands. Raises what refuses it."""
        relay, before = self._at.relay, len(self._at.relay.calls)
        try:
            async with asyncio.TaskGroup() as group:
                following = group.create_task(_follow(self._at, source))
                while not any(map(_stands, relay.calls[before:])):
                    relay.watching.clear()
                    await relay.watching.wait()
                following.cancel()
        except* PermanentError as errors:
            raise errors.exceptions[0] from None

    async def _watched(self, stream: Stream[Any, Any]) -> None:
        """Until both of its watches over the cluster stand. Raises what ends it before."""
        relay, before = self._at.relay, len(self._at.relay.calls)
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(_listen(stream))
                while sum(_stands(seen) for seen in relay.calls[before:]) < len(_WATCHED):
                    relay.watching.clear()
                    await relay.watching.wait()
                listening.cancel()
        except* GRPCError as errors:
            raise errors.exceptions[0] from None


async def _follow(at: World, source: Source) -> None:
    """One watch, for ever."""
    changes = cast("AsyncGenerator[Change]", at.cluster.watch(source.kind, labels=source.labels))
    async with aclosing(changes):
        async for _ in changes:
            pass


def _stands(seen: Seen) -> bool:
    return "watch" in seen.query and seen.status == HTTPStatus.OK


async def _listen(stream: Stream[Any, Any]) -> None:
    """Take in what it tells. Raises when it ends, which a watch does with an error alone."""
    while await stream.recv_message() is not None:
        pass
    await stream.recv_trailing_metadata()
    raise AssertionError("the watch has ended")


@asynccontextmanager
async def _proxy(at: World) -> AsyncIterator[Channel]:
    """The proxy of an agent, and a caller's connection to it."""
    runtime = system_runtime()
    proxy = Proxy(
        ProxyConfig(listen_port=0),
        Agent(),
        at.cluster,
        owner_id=at.registry.owner_id,
        runtime=runtime,
        metrics=Metrics(),
        health=Health(runtime),
        audit=NoAudit(),
    )
    await proxy.start()
    try:
        async with Channel("127.0.0.1", proxy.port) as channel:
            yield channel
    finally:
        await proxy.close()


_WATCHED = ("namespaces", "configmaps")
_CORE, _APIS = "/api/v1", "/apis"
_RBAC = f"{_APIS}/rbac.authorization.k8s.io/v1"
_ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "leftover"}
_Left = tuple[tuple[str, str, dict[str, Any]], ...]
_APPS = f"{_APIS}/apps/v1"
_SELECTOR = {"matchLabels": {"app": "leftover"}}
_POD: dict[str, Any] = {
    "metadata": {"labels": {"app": "leftover"}},
    "spec": {"containers": [{"name": "main", "image": "example/web:1"}]},
}
_LEFT_OF_AIRFLOW: _Left = (
    (_CORE, "services", {"spec": {"ports": [{"port": 80}]}}),
    (_APPS, "deployments", {"spec": {"replicas": 0, "selector": _SELECTOR, "template": _POD}}),
    (
        _APPS,
        "statefulsets",
        {"spec": {"replicas": 0, "serviceName": "leftover", "selector": _SELECTOR, "template": _POD}},
    ),
    (
        f"{_APIS}/batch/v1",
        "jobs",
        {"spec": {"suspend": True, "template": {"spec": {**_POD["spec"], "restartPolicy": "Never"}}}},
    ),
    (f"{_APIS}/policy/v1", "poddisruptionbudgets", {"spec": {"maxUnavailable": 1, "selector": _SELECTOR}}),
)
_LEFTOVERS: _Left = (
    (_CORE, "resourcequotas", {"spec": {"hard": {"pods": "100"}}}),
    (_CORE, "limitranges", {"spec": {"limits": [{"type": "Pod"}]}}),
    (f"{_APIS}/networking.k8s.io/v1", "networkpolicies", {"spec": {"podSelector": {}}}),
    (_CORE, "serviceaccounts", {}),
    (_RBAC, "roles", {"rules": []}),
    (_RBAC, "rolebindings", {"roleRef": _ROLE}),
    (_CORE, "configmaps", {}),
    (f"{_APIS}/coordination.k8s.io/v1", "leases", {}),
)
