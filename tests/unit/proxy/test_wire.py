"""Peers that are no gRPC clients, or odd ones: the proxy answers or closes, and nothing of them is left."""

import asyncio

import grpc
import pytest
from hyperframe.frame import GoAwayFrame

from tests.unit.proxy.fakes import Gate
from tests.unit.proxy.raw import HEADERS, framed, raw_client
from tests.unit.proxy.rig import serving

VERSION = "/conveyor.proxy.v1.Agent/GetVersion"
STATUS = "/conveyor.proxy.v1.Agent/GetStatus"


def _code(code: grpc.StatusCode) -> str:
    return str(code.value[0])


def _headers(**changes: str) -> list[tuple[str, str]]:
    names = {name.replace("_", "-"): value for name, value in changes.items()}
    return [(key, names.get(key.lstrip(":"), value)) for key, value in HEADERS]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (_headers(method="GET"), "405"),
        (_headers(content_type="application/json"), "415"),
        (_headers(content_type="application/grpc+json"), "415"),
    ],
)
async def test_a_request_that_is_no_grpc(headers: list[tuple[str, str]], status: str) -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        ended = await client.ended(client.begin(VERSION, headers=headers, end=True))
        again = await client.ended(client.call(VERSION, b""))
    assert ended[":status"] == status
    assert again["grpc-status"] == "0"
    assert rig.calls("unknown", "unknown", "UNKNOWN") == 1


async def test_metadata_that_are_malformed() -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        ended = await client.ended(client.call(VERSION, b"", ("x-bin", "a")))
    assert (ended[":status"], ended["grpc-message"]) == ("400", "binary metadata must be base64")


@pytest.mark.parametrize("timeout", ["1", "S", "-1S", "123456789S", "1x", "1.5S"])
async def test_a_timeout_that_is_malformed(timeout: str) -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        ended = await client.ended(client.call(VERSION, b"", ("grpc-timeout", timeout)))
    assert ended["grpc-status"] == _code(grpc.StatusCode.INVALID_ARGUMENT)
    assert ended["grpc-message"].startswith("grpc-timeout: ")


async def test_a_timeout_that_is_over_already() -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        rig.agent.gate = Gate()
        ended = await client.ended(client.call(STATUS, b"", ("grpc-timeout", "0m")))
    assert ended["grpc-status"] == _code(grpc.StatusCode.DEADLINE_EXCEEDED)


async def test_unknown_frames_are_ignored() -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        client.writer.write(b"\0\0\6\xbe\0\0\0\0\0grease")  # type 0xbe, on stream 0
        ended = await client.ended(client.call(VERSION, b""))
    assert ended["grpc-status"] == "0"


async def test_a_call_that_is_given_up_as_it_begins_leaves_nothing() -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        for _ in range(200):  # twice what may be open at once, and three times what may be unread
            call = client.h2.get_next_available_stream_id()
            client.h2.send_headers(call, [*HEADERS[:3], (":path", STATUS), *HEADERS[3:]])
            while client.h2.local_flow_control_window(call) < 16384:
                await client.read()
            client.h2.send_data(call, bytes(16384))
            client.h2.reset_stream(call)
            client.flush()
        ended = await client.ended(client.call(VERSION, b""))
    assert ended["grpc-status"] == "0"


async def test_a_caller_that_leaves_its_side_open_is_closed_there() -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        for _ in range(150):  # more than may be open at once
            call = client.begin(VERSION)
            client.send(call, framed(b""))
            assert (await client.ended(call))["grpc-status"] == "0"


async def test_headers_in_no_encoding() -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        ended = await client.ended(client.call(VERSION, b"", ("user-agent", "\xff\xfe"), ("x-request-id", "\xe9")))
    assert ended["grpc-status"] == "0"
    assert len(ended["x-request-id"]) == 36


async def test_garbage_ends_that_connection_alone() -> None:
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.proxy.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(range(256)))
        assert len(await reader.read()) < 1024
        writer.close()
        ended = await client.ended(client.call(VERSION, b""))
    assert ended["grpc-status"] == "0"


@pytest.mark.parametrize("goodbye", [True, False])
async def test_a_connection_that_goes_takes_its_calls_along(goodbye: bool) -> None:
    async with serving() as rig:
        rig.agent.gate = gate = Gate()
        async with raw_client(rig.proxy.port) as client:
            client.call(STATUS, b"")
            await gate.until(lambda: gate.came == 1)
            if goodbye:
                client.write(GoAwayFrame(0, last_stream_id=0))
        await gate.until(lambda: gate.cancelled == 1)
    assert rig.calls("conveyor.proxy.v1.Agent", "GetStatus", "CANCELLED") == 1


async def test_a_peer_that_answers_no_ping_is_closed() -> None:
    async with serving(keepalive_s=0.1) as rig, raw_client(rig.proxy.port) as client:
        rig.agent.gate = gate = Gate()
        client.call(STATUS, b"")
        await gate.until(lambda: gate.cancelled == 1)  # the client reads nothing, so answers nothing


async def test_a_peer_that_answers_pings_stays() -> None:
    async with serving(keepalive_s=0.4) as rig, raw_client(rig.proxy.port) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await client.until_closed()
        assert (await client.ended(client.call(VERSION, b"")))["grpc-status"] == "0"
