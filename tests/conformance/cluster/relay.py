"""Stands between the adapter and any API server: counts what it is asked, and shows faults. So a real server has them too."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from aiohttp import ClientSession, web
from yarl import URL

_HOP = ("connection", "content-length", "content-encoding", "transfer-encoding", "keep-alive")


class Where(Enum):
    """Where a call that a fault meets ends."""

    THROUGH = auto()
    """Nowhere: it only has company, see `before`."""
    BEFORE = auto()
    """Before it reaches the server: it has no effect."""
    AFTER = auto()
    """After the server has carried it out; a refusal is passed on, and does not count."""


@dataclass
class Fault:
    """Which calls are met, and what they get instead of the server's answer: `answer`, else none and a closed connection."""

    where: Where
    method: str | None = None
    contains: str = ""
    answer: tuple[int, dict[str, str], Any] | None = None
    """Status, headers, and the body: a text, or what is sent as JSON."""
    hang: bool = False
    """No answer, and the connection stays."""
    before: Callable[[], Awaitable[object]] | None = None
    """Somebody else's work, right before the call reaches the server."""
    times: int | None = 1
    hits: int = 0

    def meets(self, method: str, text: str) -> bool:
        """Whether it is in force for a call."""
        if self.times is not None and self.hits >= self.times:
            return False
        return self.method in (None, method) and self.contains in text


@dataclass
class Seen:
    """One call that the adapter has made. `status` is the server's answer, 0 while there is none."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    status: int = 0

    @property
    def is_write(self) -> bool:
        """Whether it may have had an effect; one that the server refused, as somebody else was first, had none."""
        asks = self.method == "GET" or "dryRun" in self.query or "accessreviews" in self.path
        return not asks and self.status < web.HTTPBadRequest.status_code


@dataclass
class Relay:
    """A running relay."""

    url: str = ""
    calls: list[Seen] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    streams: list[web.BaseRequest] = field(default_factory=list)
    watching: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a watch has begun; to be cleared by who waits for the next."""

    @property
    def writes(self) -> list[Seen]:
        """The calls that may have had an effect."""
        return [seen for seen in self.calls if seen.is_write]

    def count(self, method: str, contains: str = "") -> int:
        """Calls of a method whose path contains a text."""
        return sum(seen.method == method and contains in seen.path for seen in self.calls)

    def show(self, fault: Fault) -> Fault:
        """Put a fault in force."""
        self.faults.append(fault)
        return fault

    def cut(self) -> None:
        """Break every watch, as a network does."""
        for request in self.streams:
            if request.transport is not None:
                request.transport.abort()


@asynccontextmanager
async def run_relay(
    upstream: ClientSession, server: str, headers: Mapping[str, str], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Relay]:
    """On loopback, to a server that is reached with this session and these headers; with TLS if there is a context for it."""
    relay = Relay()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await _handle(relay, request, upstream, server, headers)

    application = web.Application(client_max_size=2**24)
    application.router.add_route("*", "/{path:.*}", handle)
    # A handler whose client is gone is cancelled: what hangs must not outlive its test.
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    relay.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield relay
    finally:
        await runner.cleanup()


async def _handle(
    relay: Relay, request: web.Request, upstream: ClientSession, server: str, headers: Mapping[str, str]
) -> web.StreamResponse:
    body = await request.read()
    is_json = (bool(body) and "json" in request.content_type) or "apply-patch" in request.content_type
    seen = Seen(request.method, request.path, request.query, request.headers, await request.json() if is_json else None)
    relay.calls.append(seen)
    fault = next((found for found in relay.faults if found.meets(request.method, request.path_qs)), None)
    if fault is not None:
        fault.hits += 1
        if fault.before is not None:
            await fault.before()
        if fault.where is Where.BEFORE:
            return await _instead(fault, request)
    passed = {name: request.headers[name] for name in ("Accept", "Content-Type") if name in request.headers}
    url = URL(server + request.raw_path, encoded=True)
    async with upstream.request(request.method, url, data=body, headers={**passed, **headers}) as answer:
        seen.status = answer.status
        if fault is not None and fault.where is Where.AFTER:
            if answer.ok:
                await answer.read()
                return await _instead(fault, request)
            fault.hits -= 1
        return await _pass_on(relay, request, answer.status, answer.headers, answer.content.iter_any())


async def _instead(fault: Fault, request: web.Request) -> web.StreamResponse:
    if fault.answer is not None:
        status, headers, said = fault.answer
        body = said if isinstance(said, str) else json.dumps(said)
        return web.Response(text=body, status=status, headers={"Content-Type": "application/json", **headers})
    if fault.hang:
        await asyncio.Event().wait()
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _pass_on(
    relay: Relay, request: web.Request, status: int, headers: Mapping[str, str], chunks: AsyncIterator[bytes]
) -> web.StreamResponse:
    kept = {name: value for name, value in headers.items() if name.lower() not in _HOP}
    response = web.StreamResponse(status=status, headers=kept)
    await response.prepare(request)
    if is_watch := "watch" in request.query and status == web.HTTPOk.status_code:
        relay.streams.append(request)
        relay.watching.set()
    try:
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    except ConnectionError:
        pass  # the adapter, or a cut, has closed it: there is nobody left to tell
    finally:
        if is_watch:
            relay.streams.remove(request)
    return response
