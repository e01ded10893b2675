"""Each kind of fault does what it says, to AWS and to Kubernetes: what the caller gets, what happens, and when."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from agentd.embedded.kube.kinds import NAMESPACES
from tests.simulation.world import Fault, FaultKind, Faults, Pace, World, WorldSettings
from tests.simulation.world import ecr as ecr_module
from tests.simulation.world import iam as iam_module
from tests.simulation.world.agent import play
from tests.simulation.world.aws import Client
from tests.simulation.world.cluster_client import Api, says
from tests.simulation.world.gate import Gate
from tests.virtual_time import about

LATENCY_S = 0.1
PATIENCE_S = 5.0
DELAY_S = 30.0
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dev"}}
NO_TRUST = "{}"


@dataclass
class Result:
    """What became of one write."""

    error: BaseException | None
    took_s: float
    is_there: bool
    comes_later: bool


@dataclass
class Door:
    """One service as a client sees it: how something is made in it, and whether it is there."""

    make: Callable[[], Awaitable[object]]
    look: Callable[[], bool]


def door(world: World, service: str, replica: str = "a") -> Door:
    if service == "ecr":
        ecr = Client(world._ecr.operations(), Gate(world._weather, replica, "ecr", ecr_module.SAYS), retries=False)
        return Door(lambda: ecr.create_repository(repositoryName="x"), lambda: world._ecr.shelf.get("x") is not None)
    if service == "iam":
        iam = Client(world._iam.operations(), Gate(world._weather, replica, "iam", iam_module.SAYS), retries=False)
        request = {"RoleName": "x", "AssumeRolePolicyDocument": NO_TRUST}
        return Door(lambda: iam.create_role(**request), lambda: world._iam.shelf.get("x") is not None)
    api = Api(world._kube, Gate(world._weather, replica, "kubernetes", says))

    async def make() -> object:
        response = await api.call_api(
            "/api/v1/namespaces",
            "POST",
            query_params=[],
            header_params={"Content-Type": "application/json"},
            body=NAMESPACE,
        )
        if response.status >= 400:
            raise _RefusedError(response.status, await response.read())
        return response

    return Door(make, lambda: world._kube.state.store.get(NAMESPACES, "", "dev") is not None)


class _RefusedError(Exception):
    """The API server's answer is no success."""


async def _result(fault: Fault | None, service: str) -> Result:
    faults = Faults((fault,)) if fault else Faults()
    async with World(1, faults, WorldSettings(latency_s=(LATENCY_S, LATENCY_S))) as world:
        way, loop, error = door(world, service), asyncio.get_running_loop(), None
        began = loop.time()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await way.make()
        except (ClientError, ConnectionClosedError, aiohttp.ClientError, TimeoutError, _RefusedError) as raised:
            error = raised
        took_s, is_there = loop.time() - began, way.look()
        await asyncio.sleep(2 * DELAY_S)
        assert world.pending == 0
        if fault:
            assert world.met == {fault: 1}
        return Result(error, took_s, is_there, not is_there and way.look())


def after(kind: FaultKind | None, service: str, **fault: Any) -> Result:
    """What becomes of the first write that a fault of this kind meets."""
    met = Fault(kind, service, **fault) if kind else None
    return play(lambda: _result(met, service))


ALL = pytest.mark.parametrize("service", ["ecr", "iam", "kubernetes"])
REFUSALS = {
    ("ecr", FaultKind.THROTTLED): "ThrottlingException",
    ("ecr", FaultKind.UNAVAILABLE): "ServerException",
    ("ecr", FaultKind.DENIED): "AccessDeniedException",
    ("iam", FaultKind.THROTTLED): "Throttling",
    ("iam", FaultKind.UNAVAILABLE): "ServiceFailure",
    ("iam", FaultKind.DENIED): r"\(AccessDenied\)",
    ("kubernetes", FaultKind.THROTTLED): "429.*TooManyRequests",
    ("kubernetes", FaultKind.UNAVAILABLE): "503.*ServiceUnavailable",
    ("kubernetes", FaultKind.DENIED): "403.*cannot create",
}


@ALL
def test_a_healthy_call(service: str) -> None:
    assert after(None, service) == Result(None, about(LATENCY_S), is_there=True, comes_later=False)


@ALL
def test_a_slow_call(service: str) -> None:
    assert after(FaultKind.SLOW, service, delay_s=2.0).took_s == about(LATENCY_S + 2.0)


@pytest.mark.parametrize(("service", "kind"), list(REFUSALS))
def test_a_refused_call(service: str, kind: FaultKind) -> None:
    result = after(kind, service)
    with pytest.raises((ClientError, _RefusedError), match=REFUSALS[service, kind]):
        raise result.error or AssertionError
    assert (result.took_s, result.is_there, result.comes_later) == (about(LATENCY_S), False, False)


@ALL
@pytest.mark.parametrize(
    ("kind", "is_there", "comes_later"),
    [
        (FaultKind.RESET_BEFORE, False, False),
        (FaultKind.RESET_AFTER, True, False),
        (FaultKind.LATE, False, True),
    ],
)
def test_a_broken_connection(service: str, kind: FaultKind, is_there: bool, comes_later: bool) -> None:
    result = after(kind, service, delay_s=DELAY_S)
    assert isinstance(result.error, ConnectionClosedError | aiohttp.ServerDisconnectedError)
    assert (result.took_s, result.is_there, result.comes_later) == (about(LATENCY_S), is_there, comes_later)


@ALL
@pytest.mark.parametrize(("kind", "is_there"), [(FaultKind.TIMEOUT_BEFORE, False), (FaultKind.TIMEOUT_AFTER, True)])
def test_no_answer(service: str, kind: FaultKind, is_there: bool) -> None:
    result = after(kind, service)
    assert isinstance(result.error, TimeoutError)
    assert (result.took_s, result.is_there, result.comes_later) == (about(PATIENCE_S), is_there, False)


@ALL
def test_a_caller_that_gives_up_has_sent_the_call_or_has_not(service: str) -> None:
    """It may have its effect before, a moment later, or never."""

    async def given_up(seed: int) -> tuple[bool, bool]:
        async with World(seed, settings=WorldSettings(latency_s=(LATENCY_S, LATENCY_S))) as world:
            way = door(world, service)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(LATENCY_S / 2):
                    await way.make()
            at_once = way.look()
            await asyncio.sleep(LATENCY_S)
            assert world.pending == 0
            return at_once, way.look()

    seen = {play(lambda seed=seed: given_up(seed)) for seed in range(20)}  # type: ignore[misc] # bound at once
    assert seen == {(True, True), (False, True), (False, False)}


def test_what_has_been_sent_arrives_in_the_servers_own_context() -> None:
    """So that it does whatever becomes of the process that sent it."""
    whose = ContextVar("whose", default="the servers'")

    async def story() -> list[str]:
        async with World(1) as world:
            heard: list[str] = []
            world.listen(lambda _write: heard.append(whose.get()))
            whose.set("a process's")
            await door(world, "ecr").make()
            return heard

    assert play(story) == ["the servers'"]


def test_a_fault_is_for_so_many_calls_of_one_replica_while_it_lasts() -> None:
    async def story() -> list[str]:
        fault = Fault(FaultKind.THROTTLED, "ecr", replica="b", start_s=10.0, end_s=20.0, times=2)
        async with World(1, Faults((fault,))) as world:
            a, b = door(world, "ecr", "a"), door(world, "ecr", "b")
            told = [await _code(way) for way in (b, a)]
            await asyncio.sleep(10)
            return told + [await _code(way) for way in (a, b, b, b)]

    exists = "RepositoryAlreadyExistsException"
    throttled = "ThrottlingException"
    assert play(story) == ["", exists, exists, throttled, throttled, exists]


async def _code(way: Door) -> str:
    try:
        await way.make()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_from_some_moment_on_the_world_is_healthy_and_what_was_late_has_come() -> None:
    async def story() -> None:
        late = Fault(FaultKind.LATE, "iam", delay_s=1000.0)
        ever = Fault(FaultKind.RESET_BEFORE, "iam", times=None)
        async with World(1, Faults((late, ever), healthy_from_s=50.0)) as world:
            way = door(world, "iam")
            for _ in range(2):
                with pytest.raises(ConnectionClosedError):
                    await way.make()
            assert (world.pending, way.look()) == (1, False)
            await asyncio.sleep(50)
            assert (world.pending, way.look()) == (0, True)
            assert await _code(way) == "EntityAlreadyExists"

    play(story)


def test_the_sdk_repeats_reads_that_fail_in_passing_and_no_writes() -> None:
    async def story() -> None:
        fault = Fault(FaultKind.THROTTLED, "iam", times=None)
        async with World(1, Faults((fault,), healthy_from_s=1.0)) as world:
            gate = Gate(world._weather, "a", "iam", iam_module.SAYS)
            reads, writes = [Client(world._iam.operations(), gate, retries=retries) for retries in (True, False)]
            with pytest.raises(ClientError, match="Throttling"):
                await writes.delete_role(RoleName="x")
            assert world.calls["iam", "DeleteRole"] == 1
            with pytest.raises(ClientError, match="NoSuchEntity"):
                await reads.get_role(RoleName="x")
            assert 1 < world.calls["iam", "GetRole"] <= 4

    play(story)


def iam_client(world: World) -> Client:
    return Client(world._iam.operations(), Gate(world._weather, "a", "iam", iam_module.SAYS), retries=False)


def test_a_stale_read_shows_what_was() -> None:
    async def story() -> None:
        stale = Fault(FaultKind.STALE, "iam", calls="GetRole", times=None, delay_s=3.0)
        async with World(1, Faults((stale,))) as world:
            client = iam_client(world)
            await client.create_role(RoleName="x", AssumeRolePolicyDocument=NO_TRUST)
            with pytest.raises(ClientError, match="NoSuchEntity"):
                await client.get_role(RoleName="x")
            await asyncio.sleep(3)
            await client.update_role(RoleName="x", Description="new")
            assert "Description" not in (await client.get_role(RoleName="x"))["Role"]
            await asyncio.sleep(3)
            assert (await client.get_role(RoleName="x"))["Role"]["Description"] == "new"

    play(story)


def test_a_stale_write_misses_what_was_not_there_yet() -> None:
    async def story() -> None:
        stale = Fault(FaultKind.STALE, "iam", calls="AttachRolePolicy", times=None, delay_s=3.0)
        async with World(1, Faults((stale,))) as world:
            client = iam_client(world)
            await client.create_role(RoleName="x", AssumeRolePolicyDocument=NO_TRUST)
            with pytest.raises(ClientError, match="NoSuchEntity"):
                await client.attach_role_policy(RoleName="x", PolicyArn="arn")
            await asyncio.sleep(3)
            await client.attach_role_policy(RoleName="x", PolicyArn="arn")

    play(story)


def test_a_defect_of_the_simulation_reaches_the_caller() -> None:
    async def story() -> None:
        async with World(1) as world:
            with pytest.raises(KeyError):
                await iam_client(world).create_role()

    play(story)


def test_a_namespace_takes_its_time_to_end_and_a_pinned_one_stays() -> None:
    async def story() -> None:
        async with World(1, settings=WorldSettings(pace=Pace(namespace_end_s=(2.0, 2.0)))) as world:
            store = world._kube.state.store
            for name in ("dev", "pinned"):
                world.people.plant_namespace(name)
            world.people.pin("pinned")
            for name in ("dev", "pinned"):
                world.people.delete_namespace(name)
            await asyncio.sleep(1.9)
            assert store.get(NAMESPACES, "", "dev") is not None
            await asyncio.sleep(0.2)
            assert store.get(NAMESPACES, "", "dev") is None
            await asyncio.sleep(60)
            assert store.get(NAMESPACES, "", "pinned") is not None
            world.people.unpin("pinned")
            await asyncio.sleep(5)
            assert store.get(NAMESPACES, "", "pinned") is None

    play(story)
