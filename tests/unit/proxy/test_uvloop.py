"""The daemon's own event loop."""

import asyncio

import uvloop

from proxy.generated.v1 import agent_pb2 as agent
from proxy.generated.v1 import environments_pb2 as environments
from tests.unit.proxy.fakes import namespace
from tests.unit.proxy.raw import raw_client
from tests.unit.proxy.rig import channel_to, failure, serving, stream, unary

VERSION = "/conveyor.proxy.v1.Agent/GetVersion"
WATCH = "/conveyor.proxy.v1.Environments/Watch"


async def _live_and_stop() -> None:
    async with serving() as rig, channel_to(rig) as channel, raw_client(rig.proxy.port) as client:
        rig.objects.put(namespace("dev", 1))
        call = unary(channel, VERSION, agent.GetVersionResponse)
        assert (await call(agent.GetVersionRequest())).version == "1.2.3"
        watch = stream(channel, WATCH, environments.EnvironmentsWatchResponse)(environments.EnvironmentsWatchRequest())
        assert (await watch.read()).environment.name == "dev"
        await client.ended(client.call(VERSION, b""))
        await rig.proxy.drain(1)
        assert (await failure(call(agent.GetVersionRequest()))).reason == "DRAINING"
        await rig.proxy.close()
        await client.until_closed()
    assert [code for code, _ in client.goaways] == [0, 0]


def test_calls_streams_drain_and_close_on_uvloop() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_live_and_stop())
