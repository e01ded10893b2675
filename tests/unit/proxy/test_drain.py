"""Stopping: health first, then no new calls, then those at work, then the connections."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from proxy.generated.v1 import agent_pb2 as agent
from proxy.generated.v1 import environments_pb2 as environments
from tests.unit.proxy.fakes import Gate
from tests.unit.proxy.raw import raw_client
from tests.unit.proxy.rig import channel_to, failure, failure_of, serving, stream, unary

STATUS = "/conveyor.proxy.v1.Agent/GetStatus"
VERSION = "/conveyor.proxy.v1.Agent/GetVersion"
WATCH = "/conveyor.proxy.v1.Environments/Watch"
HEALTH = "/grpc.health.v1.Health"
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


def _status(channel: grpc.aio.Channel) -> "asyncio.Future[Any]":
    call: asyncio.Future[Any] = asyncio.ensure_future(
        unary(channel, STATUS, agent.GetStatusResponse)(agent.GetStatusRequest())
    )
    return call


async def _health(channel: grpc.aio.Channel) -> int:
    answer = await unary(channel, f"{HEALTH}/Check", HealthCheckResponse)(HealthCheckRequest())
    status: int = answer.status
    return status


async def test_a_drain_refuses_new_calls_and_finishes_those_at_work() -> None:
    async with serving() as rig, channel_to(rig) as channel, channel_to(rig) as other:
        assert rig.health.unready() == {"proxy": None}
        rig.agent.gate = gate = Gate()
        at_work = _status(channel)
        await gate.until(lambda: gate.came == 1)
        health = stream(channel, f"{HEALTH}/Watch", HealthCheckResponse)(HealthCheckRequest())
        assert (await health.read()).status == SERVING
        drain = asyncio.ensure_future(rig.proxy.drain(30))
        assert (await health.read()).status == NOT_SERVING
        assert rig.health.unready() == {"proxy": "draining"}
        for peer in (channel, other):
            refused = await failure(unary(peer, VERSION, agent.GetVersionResponse)(agent.GetVersionRequest()))
            assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
            assert RetryInfo in refused.details
            assert await _health(peer) == NOT_SERVING
        assert not drain.done()
        gate.open()
        assert (await at_work).version == "1.2.3"
        await drain
        health.cancel()


async def test_what_outlasts_the_grace_period_is_ended_at_close() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        rig.agent.gate = gate = Gate()
        at_work = _status(channel)
        await gate.until(lambda: gate.came == 1)
        await rig.proxy.drain(0.05)
        assert gate.cancelled == 0
        await rig.proxy.close()
        found = await failure(at_work)
    assert gate.cancelled == 1
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert rig.health.unready() == {"proxy": "closed"}
    assert rig.calls("conveyor.proxy.v1.Agent", "GetStatus", "UNAVAILABLE") == 1


async def test_endless_streams_are_not_waited_for_and_end_at_close() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        watch = stream(channel, WATCH, environments.EnvironmentsWatchResponse)(environments.EnvironmentsWatchRequest())
        assert (await watch.read()).kind == environments.WATCH_KIND_SYNCED
        await rig.proxy.drain(30)
        assert rig.objects.watches.total() == 2
        await rig.proxy.close()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await watch.read()
    assert failure_of(ended.value).reason == "DRAINING"


async def test_closing_without_a_drain_tells_callers_as_well() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        rig.agent.gate = gate = Gate()
        at_work = _status(channel)
        await gate.until(lambda: gate.came == 1)
        await rig.proxy.close()
        found = await failure(at_work)
        again = await failure(unary(channel, VERSION, agent.GetVersionResponse)(agent.GetVersionRequest()))
    assert found.reason == "DRAINING"
    assert again.code is grpc.StatusCode.UNAVAILABLE


async def test_peers_are_told_by_goaway() -> None:
    """Once to open no more streams, the other time which was the last that was looked at; then the connection ends."""
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        call = client.call(VERSION, b"")
        await client.ended(call)
        await rig.proxy.drain(0)
        while not client.goaways:
            await client.read()
        refused = client.call(VERSION, b"")
        await client.ended(refused)
        await rig.proxy.close()
        await client.until_closed()
    assert client.goaways == [(0, 2**31 - 1), (0, refused)]
    assert client.trailers[refused]["grpc-status"] == str(grpc.StatusCode.UNAVAILABLE.value[0])


async def test_a_peer_that_does_not_read_does_not_hold_up_the_close() -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
        async with asyncio.timeout(10):
            await rig.proxy.close()


async def test_the_listener_is_looked_after() -> None:
    async with serving() as rig:
        async with asyncio.TaskGroup() as group:
            running = rig.runtime.spawn(group, rig.proxy.run(), "proxy")
            await asyncio.sleep(0)
            assert [pulse.loop for pulse in rig.health.pulses()] == ["proxy"]
            running.cancel()
        assert rig.health.pulses() == ()


async def test_a_proxy_that_is_off() -> None:
    async with serving(listen_port=None) as rig:
        assert rig.proxy.port is None
        assert rig.health.unready() == {}
        await rig.proxy.drain(1)


async def test_closing_twice() -> None:
    async with serving() as rig:
        await rig.proxy.close()
        await rig.proxy.close()
        await rig.proxy.drain(1)
