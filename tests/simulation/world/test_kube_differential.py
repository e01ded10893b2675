"""The simulated cluster against the embedded API server: the same calls, the same answers, byte for byte.

The one is reached over HTTP and works everything out; the other is not, and remembers. The conformance suites hold the
embedded server to a real one.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from agentd.core import Runtime, Subject
from agentd.embedded.kube.bootstrap import bootstrap
from agentd.embedded.kube.encoding import dump
from agentd.embedded.kube.serving import Api
from agentd.embedded.kube.status import ApiError
from agentd.embedded.kube.world import World as State
from agentd.events import EnvironmentSpec, InstanceLifecycle, NetworkEgress, Power, Quotas
from agentd.events.environments import EgressRule
from agentd.platform import ClusterDefaults, Manifest
from agentd.platform.kubernetes import marks
from agentd.platform.kubernetes.calls import APPLY_PATCH, JSON_PATCH, MERGE_PATCH
from handlers.manifests import Environment, inside, namespace
from tests.conformance.registry.support import RecordingFence
from tests.simulation.world.kube import Kube, Pace
from tests.simulation.world.memo import Memo
from tests.simulation.world.truth import Asked, Books, Caller

NAME = "dev"
CALLS = 120
SPECS = (
    EnvironmentSpec(),
    EnvironmentSpec(description="changed"),
    EnvironmentSpec(quotas=Quotas(cpu="2", memory="8Gi", pods=20), instance_lifecycle=InstanceLifecycle.ON_DEMAND),
    EnvironmentSpec(
        network_egress=NetworkEgress(internet=False, allow=(EgressRule(cidr="10.0.0.0/16", ports=(5432,)),))
    ),
)
PLURALS = {
    "Namespace": "namespaces",
    "ResourceQuota": "resourcequotas",
    "LimitRange": "limitranges",
    "NetworkPolicy": "networkpolicies",
    "ServiceAccount": "serviceaccounts",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ConfigMap": "configmaps",
    "Lease": "leases",
    "Deployment": "deployments",
}
CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "x", "namespace": "default"},
    "data": {"a": "1"},
}
STRICT = {"fieldManager": "conveyor-agent", "fieldValidation": "Strict"}
DRY = {"dryRun": "All"}


@dataclass
class Ask:
    """One call."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"


class Pair:
    """The two servers, with the same clock and the same dice."""

    def __init__(self, http: ClientSession, url: str, kube: Kube, ticks: list[float]) -> None:
        self._http = http
        self._url = url
        self._kube = kube
        self._ticks = ticks

    async def ask(self, ask: Ask) -> tuple[int, Any]:
        """The answer that both give."""
        self._ticks[0] += 0.4
        headers = {"Content-Type": ask.content_type, "User-Agent": "agent"}
        data = dump(ask.body) if ask.body is not None else None
        async with self._http.request(
            ask.method, self._url + ask.path, params=ask.query, data=data, headers=headers
        ) as response:
            status, body = response.status, await response.read()
        assert self._simulated(ask) == (status, body), ask
        return status, json.loads(body)

    def _simulated(self, ask: Ask) -> tuple[int, bytes]:
        try:
            request = self._kube.read(ask.method, ask.path, ask.query, ask.body, ask.content_type)
            told = self._kube.answer(Asked(Caller("a"), "kubernetes", request.operation, 0.0), request)
        except ApiError as error:
            return error.code, dump(error.status())
        return told.status, told.body


@asynccontextmanager
async def pair(seed: int, memo: Memo) -> AsyncIterator[Pair]:
    ticks = [1_700_000_000.0]
    state = State(Runtime(wall=lambda: ticks[0], random=Random(seed)))
    bootstrap(state)
    kube = Kube(Books(), lambda: ticks[0], Random(seed), Pace((0.0, 0.0), (0.0, 0.0)), memo)
    async with TestServer(Api(state).application()) as server, ClientSession() as http:
        yield Pair(http, str(server.make_url("")).rstrip("/"), kube, ticks)


class Story:
    """Calls as an agent and others make them, drawn from dice. What differs from run to run is drawn from others."""

    def __init__(self, servers: Pair, dice: Random, ids: Random) -> None:
        self._servers = servers
        self._dice = dice
        self._ids = ids
        self._numbers = count(1)
        self._subject = Subject("environment", self._id())
        self._last = self._fence()

    async def tell(self) -> None:
        """Everything once, then whatever comes."""
        for manifest in self._manifests(SPECS[0]):
            await self._servers.ask(self._creation(manifest, {}))
        for _ in range(CALLS):
            manifest = self._dice.choice(list(self._manifests(self._dice.choice(SPECS))))
            status, live = await self._servers.ask(Ask("GET", _path(manifest)))
            asks = self._creations(manifest) if status != 200 else self._changes(manifest, live)
            await self._servers.ask(self._dice.choice(list(asks)))

    def creation(self, manifest: Manifest) -> Ask:
        """Of any manifest, by the agent."""
        return self._creation(manifest, {})

    def application(self, manifest: Manifest, live: Manifest, query: dict[str, str]) -> Ask:
        """The same to each live state, as long as nothing else is asked for."""
        identity = {name: live["metadata"][name] for name in ("uid", "resourceVersion")}
        wanted = marks.marked(manifest, self._last)
        wanted["metadata"] |= identity
        return Ask("PATCH", _path(manifest), {**STRICT, "force": "true", **query}, wanted, APPLY_PATCH)

    def _creations(self, manifest: Manifest) -> Iterator[Ask]:
        yield self._creation(manifest, {})
        yield self._creation(manifest, {})
        yield self._creation(manifest, DRY)
        yield Ask("DELETE", _path(manifest), body={"apiVersion": "v1", "kind": "DeleteOptions"})

    def _changes(self, manifest: Manifest, live: Manifest) -> Iterator[Ask]:
        metadata = live["metadata"]
        stale = {"uid": metadata["uid"], "resourceVersion": str(int(metadata["resourceVersion"]) - 1)}
        other = {"uid": self._id(), "resourceVersion": metadata["resourceVersion"]}
        right = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        identity = self._dice.choice((right, right, right, right, stale, other))
        for query in (DRY, {}):
            yield self._application(manifest, identity, query)
            yield self._application(manifest, right, query)
        for more in ({"fieldManager": "somebody"}, {"force": "false"}, {"fieldManager": "somebody", "force": "false"}):
            yield self._application(manifest, right, {**more, **self._dice.choice((DRY, {}))})
        yield self._creation(manifest, {})
        yield self._merge(manifest, {"labels": marks.stamp(self._fence())}, identity)
        yield self._merge(manifest, {"labels": marks.stamp(self._fence()), "managedFields": [{}]}, identity)
        yield self._merge(manifest, {"annotations": {"a": "1"}}, identity)
        yield self._removal(manifest, live)
        yield self._deletion(manifest, identity)
        yield Ask("GET", _collection(manifest), {"labelSelector": "app.kubernetes.io/managed-by=conveyor-agent"})

    def _creation(self, manifest: Manifest, query: dict[str, str]) -> Ask:
        return Ask("POST", _collection(manifest), {**STRICT, **query}, marks.marked(manifest, self._fence()))

    def _application(self, manifest: Manifest, identity: dict[str, str], query: dict[str, str]) -> Ask:
        wanted = marks.marked(manifest, self._dice.choice((self._last, self._fence())))
        wanted["metadata"] |= identity
        return Ask("PATCH", _path(manifest), {**STRICT, "force": "true", **query}, wanted, APPLY_PATCH)

    def _merge(self, manifest: Manifest, metadata: dict[str, Any], identity: dict[str, str]) -> Ask:
        return Ask("PATCH", _path(manifest), STRICT, {"metadata": {**metadata, **identity}}, MERGE_PATCH)

    def _removal(self, manifest: Manifest, live: Manifest) -> Ask:
        version = {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": live["metadata"]["resourceVersion"],
        }
        gone = {"op": "remove", "path": "/metadata/labels/app.kubernetes.io~1part-of"}
        query = {"fieldManager": "conveyor-agent", **DRY}
        return Ask("PATCH", _path(manifest), query, [version, gone], JSON_PATCH)

    def _deletion(self, manifest: Manifest, identity: dict[str, str]) -> Ask:
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        return Ask("DELETE", _path(manifest), body={**options, "preconditions": identity})

    def _manifests(self, spec: EnvironmentSpec) -> Iterator[Manifest]:
        defaults = ClusterDefaults(system_namespace="conveyor-system")
        environment = Environment(name=NAME, spec=spec, power=Power.AWAKE, defaults=defaults)
        yield namespace(environment)
        yield from inside(environment)
        yield _deployment()

    def _fence(self) -> RecordingFence:
        self._last = RecordingFence(self._subject, "owner", next(self._numbers) // 8 + 1, self._id())
        return self._last

    def _id(self) -> str:
        return str(UUID(int=self._ids.getrandbits(128), version=4))


def _deployment() -> Manifest:
    pod = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "example/web:1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": NAME},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": pod},
    }


def _collection(manifest: Manifest) -> str:
    version, metadata = manifest["apiVersion"], manifest["metadata"]
    within = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"/{'apis' if '/' in version else 'api'}/{version}{within}/{PLURALS[manifest['kind']]}"


def _path(manifest: Manifest) -> str:
    return f"{_collection(manifest)}/{manifest['metadata']['name']}"


@pytest.mark.parametrize("seed", range(4))
async def test_both_give_the_same_answers(seed: int) -> None:
    """Twice: the second time most is remembered, and ids, versions and times are others."""
    memo = Memo(4096)
    for run in range(2):
        async with pair(seed + 100 * run, memo) as servers:
            await Story(servers, Random(seed), Random(seed + 100 * run)).tell()


async def test_who_asks_and_how_matters() -> None:
    """The same document for the same object: one takes fields away from others, the other must not."""
    async with pair(1, Memo(4096)) as servers:
        story = Story(servers, Random(1), Random(1))
        _, live = await servers.ask(story.creation(CONFIG_MAP))
        changed = {**CONFIG_MAP, "data": {"a": "2"}}
        hows: tuple[tuple[dict[str, str], int], ...] = (
            ({}, 200),
            ({"fieldManager": "somebody", "force": "false"}, 409),
            ({"fieldManager": "somebody"}, 200),
            ({"fieldValidation": "Ignore"}, 200),
        )
        for how, expected in hows:
            status, _ = await servers.ask(story.application(changed, live, {**DRY, **how}))
            assert status == expected


async def test_what_is_remembered_can_be_forgotten_at_any_time() -> None:
    async with pair(7, Memo(3)) as servers:
        await Story(servers, Random(7), Random(7)).tell()


async def test_the_second_run_remembers() -> None:
    memo = _CountingMemo(4096)
    for run in range(2):
        async with pair(run, memo) as servers:
            await Story(servers, Random(3), Random(run)).tell()
    asked, worked = memo.asked, memo.worked
    assert worked < asked * 0.75


async def test_discovery_is_the_same() -> None:
    async with pair(1, Memo(0)) as servers:
        for path in ("/apis", "/api/v1", "/apis/apps/v1", "/apis/networking.k8s.io/v1"):
            status, _ = await servers.ask(Ask("GET", path))
            assert status == 200


class _CountingMemo(Memo):
    """Counts what it is asked, and what had to be worked out."""

    asked = 0
    worked = 0

    def answer(self, question: Any, work: Any) -> bytes:
        self.asked += 1

        def counted() -> bytes:
            self.worked += 1
            return bytes(work())

        return super().answer(question, counted)
