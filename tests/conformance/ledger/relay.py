"""Stands between a store and its server: counts the calls, loses answers, and gives others in their place."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, web
from yarl import URL

_HOP = ("host", "connection", "content-length", "content-encoding", "transfer-encoding", "keep-alive")


@dataclass(slots=True)
class Fault:
    """What becomes of some calls of an operation: their answer is lost, or another one is given."""

    operation: str
    times: int = 1
    instead: tuple[int, str] | None = None
    """A status and a text, without asking the server."""
    changed: Callable[[bytes], bytes] | None = None
    """The server's answer, as it is passed on. With neither it is lost."""


@dataclass(slots=True)
class Relay:
    """A running relay. `operation` tells a call's name."""

    operation: Callable[[web.Request], str]
    url: str = ""
    calls: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def next_fault(self, operation: str) -> Fault | None:
        """The fault that a call meets."""
        fault = next((fault for fault in self.faults if fault.operation == operation and fault.times), None)
        if fault is not None:
            fault.times -= 1
        return fault


def of_dynamodb(request: web.Request) -> str:
    """The name of a call to DynamoDB."""
    return request.headers["X-Amz-Target"].rpartition(".")[2]


def of_azure(request: web.Request) -> str:
    """The method of a call to Azure Tables; a batch is a batch."""
    return "batch" if request.path.endswith("/$batch") else request.method


@asynccontextmanager
async def run_relay(server: str, operation: Callable[[web.Request], str]) -> AsyncIterator[Relay]:
    """On loopback, to a server at `http://HOST:PORT`."""
    relay = Relay(operation)
    async with ClientSession(auto_decompress=True) as upstream:

        async def handle(request: web.Request) -> web.Response:
            return await _handle(relay, request, upstream, server)

        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        relay.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield relay
        finally:
            await runner.cleanup()


async def _handle(relay: Relay, request: web.Request, upstream: ClientSession, server: str) -> web.Response:
    name = relay.operation(request)
    relay.calls.append(name)
    fault = relay.next_fault(name)
    if fault is not None and fault.instead is not None:
        status, text = fault.instead
        return web.Response(status=status, text=text, content_type="application/json")
    headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
    url = URL(server + request.raw_path, encoded=True)
    data = await request.read() or None  # none rather than nothing: that would have a type, which is signed
    async with upstream.request(request.method, url, data=data, headers=headers) as answer:
        body = await answer.read()
        passed = {key: value for key, value in answer.headers.items() if key.lower() not in (*_HOP, "x-amz-crc32")}
        if fault is None:
            return web.Response(status=answer.status, body=body, headers=passed)
        if fault.changed is not None:
            return web.Response(status=answer.status, body=fault.changed(body), headers=passed)
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
