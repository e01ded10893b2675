"""How long a call may take, and that its end reaches whatever it was waiting for."""

import grpc
import pytest

from proxy.config import ProxyConfig
from proxy.deadlines import asked_s, deadline
from proxy.generated.v1 import agent_pb2 as agent
from proxy.generated.v1 import cluster_pb2 as cluster
from tests.unit.proxy.fakes import Gate
from tests.unit.proxy.rig import channel_to, failure, serving, unary

STATUS = "/conveyor.proxy.v1.Agent/GetStatus"
NODES = "/conveyor.proxy.v1.Cluster/GetNodes"
CONFIG = ProxyConfig(default_deadline_s=10, max_deadline_s=60)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("1H", 3600),
        ("2M", 120),
        ("3S", 3),
        ("250m", 0.25),
        ("5u", 5e-6),
        ("99999999n", 0.099999999),
        ("0S", 0),
        (None, None),
    ],
)
def test_a_timeout_is_read_in_its_unit(header: str | None, seconds: float | None) -> None:
    assert asked_s(header) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("asked", "streaming", "seconds"),
    [
        (None, False, 10),
        (3.0, False, 3),
        (600.0, False, 60),
        (None, True, None),
        (600.0, True, 600),
    ],
)
def test_the_callers_deadline_holds_within_the_installations(
    asked: float | None, streaming: bool, seconds: float | None
) -> None:
    assert deadline(asked, streaming=streaming, config=CONFIG).seconds == seconds


async def test_a_call_without_a_deadline_gets_the_default() -> None:
    async with serving(default_deadline_s=0.1) as rig, channel_to(rig) as channel:
        rig.agent.gate = gate = Gate()
        found = await failure(unary(channel, STATUS, agent.GetStatusResponse)(agent.GetStatusRequest()))
        assert gate.cancelled == 1
    assert (found.code, found.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert found.message == "no answer within 0.1 s (the proxy's default, as the call brought no deadline)"
    assert rig.calls("conveyor.proxy.v1.Agent", "GetStatus", "DEADLINE_EXCEEDED") == 1


async def test_a_deadline_above_the_maximum_counts_as_that() -> None:
    async with serving(default_deadline_s=0.1, max_deadline_s=0.1) as rig, channel_to(rig) as channel:
        rig.agent.gate = Gate()
        found = await failure(unary(channel, STATUS, agent.GetStatusResponse)(agent.GetStatusRequest(), timeout=30))
    assert found.message == "no answer within 0.1 s (the proxy's maximum)"


async def test_the_callers_deadline_ends_the_work_here() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        rig.objects.gate = gate = Gate()
        found = await failure(unary(channel, NODES, cluster.GetNodesResponse)(cluster.GetNodesRequest(), timeout=1.0))
        await gate.until(lambda: gate.cancelled == 1)
    assert found.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_call_that_is_given_up_is_given_up_in_the_cluster_too() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        rig.objects.gate = gate = Gate()
        call = unary(channel, NODES, cluster.GetNodesResponse)(cluster.GetNodesRequest())
        await gate.until(lambda: gate.came == 1)
        call.cancel()
        await gate.until(lambda: gate.cancelled == 1)
    assert rig.calls("conveyor.proxy.v1.Cluster", "GetNodes", "CANCELLED") == 1


async def test_a_time_out_of_the_work_itself_is_a_defect_and_no_deadline() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        rig.agent.error = TimeoutError()
        found = await failure(unary(channel, STATUS, agent.GetStatusResponse)(agent.GetStatusRequest()))
    assert found.code is grpc.StatusCode.INTERNAL
