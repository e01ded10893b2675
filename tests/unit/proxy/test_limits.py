"""Messages that are too large, compressed, cut or slow; calls, streams and connections that are too many."""

import asyncio
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from proxy.config import ProxyConfig
from proxy.errors import CallError
from proxy.generated.v1 import agent_pb2 as agent
from proxy.generated.v1 import environments_pb2 as environments
from proxy.limits import Slots
from tests.unit.proxy.fakes import Gate, namespace
from tests.unit.proxy.raw import framed, raw_client
from tests.unit.proxy.rig import channel_to, failure, serving, stream, unary

VERSION = "/conveyor.proxy.v1.Agent/GetVersion"
STATUS = "/conveyor.proxy.v1.Agent/GetStatus"
EXPLAIN = "/conveyor.proxy.v1.Agent/Explain"
WATCH = "/conveyor.proxy.v1.Environments/Watch"
MIB = 2**20


async def test_a_message_that_is_too_large_is_refused_and_the_connection_goes_on() -> None:
    large = agent.ExplainRequest(name="x" * (8 * MIB))
    async with serving() as rig, channel_to(rig, **{"grpc.max_send_message_length": -1}) as channel:
        rig.objects.put(namespace("dev", 1))
        watch = stream(channel, WATCH, environments.EnvironmentsWatchResponse)(environments.EnvironmentsWatchRequest())
        assert [(await watch.read()).kind for _ in range(2)] == [
            environments.WATCH_KIND_PRESENT,
            environments.WATCH_KIND_SYNCED,
        ]
        explain = unary(channel, EXPLAIN, agent.ExplainResponse)
        tracemalloc.start()
        found = await failure(explain(large))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        for _ in range(20):  # whose sum is far above every window
            await failure(explain(large))
        rig.objects.put(namespace("test", 2))
        assert (await watch.read()).environment.name == "test"
        await unary(channel, VERSION, agent.GetVersionResponse)(agent.GetVersionRequest())
        watch.cancel()
        await rig.objects.until_watched(times=0)
    assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert found.details[ErrorInfo].metadata["max_bytes"] == str(4 * MIB)
    # The client serialises its 8 MiB once, in this process; the server holds a window's worth at most.
    assert peak < (8 + 4) * MIB
    assert rig.agent.asked == []
    assert rig.calls("conveyor.proxy.v1.Agent", "Explain", "RESOURCE_EXHAUSTED") == 21


async def test_a_message_is_refused_by_its_prefix_before_it_has_come() -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        call = client.begin(EXPLAIN)
        client.send(call, framed(b"", length=3 * 2**30))
        refused = await client.ended(call)
        again = await client.ended(client.call(VERSION, b""))
    assert refused["grpc-status"] == str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
    assert "3221225472 bytes" in refused["grpc-message"]
    assert again["grpc-status"] == "0"


async def test_the_largest_message_that_is_allowed_is_taken() -> None:
    name = "x" * (1024 - 3)  # and three bytes of tag and length
    async with serving(max_message_bytes=1024) as rig, channel_to(rig) as channel:
        explain = unary(channel, EXPLAIN, agent.ExplainResponse)
        taken = await failure(explain(agent.ExplainRequest(name=name)))
        refused = await failure(explain(agent.ExplainRequest(name=name + "x")))
    assert taken.code is grpc.StatusCode.INVALID_ARGUMENT  # it was read, and is no name
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_compressed_message_is_refused_in_words() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        request = agent.ExplainRequest(name="x" * 400)
        found = await failure(
            unary(channel, EXPLAIN, agent.ExplainResponse)(request, compression=grpc.Compression.Gzip)
        )
        await unary(channel, EXPLAIN, agent.ExplainResponse)(request)
    assert (found.code, found.reason) == (grpc.StatusCode.UNIMPLEMENTED, "COMPRESSION_UNSUPPORTED")
    assert "identity" in found.message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "brought no message"),
        (b"\0\0", "ends before its length"),
        (framed(b"abc", length=10), "ends before its length"),
        (framed(b"\xff\xff\xff"), "is no conveyor.proxy.v1.ExplainRequest"),
    ],
)
async def test_a_malformed_message(data: bytes, words: str) -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        call = client.begin(EXPLAIN)
        client.send(call, data, end=True)
        ended = await client.ended(call)
    assert ended["grpc-status"] == str(grpc.StatusCode.INVALID_ARGUMENT.value[0])
    assert words in ended["grpc-message"]


async def test_a_caller_that_does_not_finish_its_message_is_not_waited_for() -> None:
    async with serving(stall_s=0.1) as rig, raw_client(rig.proxy.port) as client:
        begun = client.begin(WATCH)
        client.send(begun, framed(b"abc", length=10))
        silent = client.begin(WATCH)
        ended = [await client.ended(call) for call in (begun, silent)]
    assert [one["grpc-status"] for one in ended] == [str(grpc.StatusCode.ABORTED.value[0])] * 2
    assert rig.objects.watches.total() == 0


async def test_more_calls_than_there_is_room_for_are_refused() -> None:
    async with serving(max_concurrent_calls=2, max_streams=1) as rig, channel_to(rig) as channel:
        rig.agent.gate = gate = Gate()
        status = unary(channel, STATUS, agent.GetStatusResponse)
        version = unary(channel, VERSION, agent.GetVersionResponse)
        held = [asyncio.ensure_future(status(agent.GetStatusRequest())) for _ in range(2)]
        await gate.until(lambda: gate.came == 2)
        refused = await failure(version(agent.GetVersionRequest()))
        gate.open()
        await asyncio.gather(*held)
        await version(agent.GetVersionRequest())
    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    assert refused.details[RetryInfo].retry_delay.seconds == 1


async def test_streams_leave_room_for_calls() -> None:
    async with serving(max_streams=1) as rig, channel_to(rig) as channel:
        begin = stream(channel, WATCH, environments.EnvironmentsWatchResponse)
        watch = begin(environments.EnvironmentsWatchRequest())
        await watch.read()
        assert rig.streams() == 1
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await begin(environments.EnvironmentsWatchRequest()).read()
        await unary(channel, VERSION, agent.GetVersionResponse)(agent.GetVersionRequest())
        watch.cancel()
        await rig.objects.until_watched(times=0)
        other = begin(environments.EnvironmentsWatchRequest())
        await other.read()
        other.cancel()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_more_connections_than_there_is_room_for_are_closed() -> None:
    async with (
        serving(max_connections=2) as rig,
        raw_client(rig.proxy.port) as first,
        raw_client(rig.proxy.port) as second,
    ):
        for client in (first, second):
            await client.ended(client.call(VERSION, b""))
        async with raw_client(rig.proxy.port) as third:
            with suppress(ConnectionError):  # it may also see a plain end
                await third.until_closed()
        assert (await first.ended(first.call(VERSION, b"")))["grpc-status"] == "0"


def _taken(slots: Slots, kinds: Sequence[bool]) -> list[str | None]:
    told: list[str | None] = []
    for streaming in kinds:
        try:
            slots.take(streaming=streaming)
        except CallError as error:
            told.append(error.reason)
        else:
            told.append(None)
    return told


def test_a_refused_stream_takes_no_slot() -> None:
    slots = Slots(ProxyConfig(max_concurrent_calls=3, max_streams=1))
    assert _taken(slots, [True, True, False, False, False, True]) == [
        None,
        "TOO_MANY_STREAMS",
        None,
        None,
        "TOO_MANY_CALLS",
        "TOO_MANY_CALLS",
    ]
    slots.give_back(streaming=True)
    assert _taken(slots, [True, False]) == [None, "TOO_MANY_CALLS"]
