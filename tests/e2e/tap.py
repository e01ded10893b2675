"""A wire tap between one daemon and the cloud: every call in order, with what it said and how long it was open."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

import aiohttp
from aiohttp import web

from agentd.embedded.calls import identify, is_write

_HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})


@dataclass(slots=True)
class Seen:
    """One call. Times are seconds since the epoch; `ended_at` is None while it is open."""

    service: str
    operation: str
    text: str
    began_at: float
    ended_at: float | None = None

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return is_write(self.operation)

    def open_at(self, moment: float) -> bool:
        """Whether it had begun and not ended then."""
        return self.began_at <= moment and (self.ended_at is None or self.ended_at > moment)


@dataclass(slots=True)
class Tap:
    """Listens on `url` and passes everything on, but for the operations in `swallowed`: their calls are never answered."""

    url: str
    calls: list[Seen] = field(default_factory=list)
    swallowed: set[str] = field(default_factory=set)

    def of(self, operation: str, *, containing: str = "") -> list[Seen]:
        """The calls of an operation, in the order in which they came."""
        return [call for call in self.calls if call.operation == operation and containing in call.text]

    @property
    def environment(self) -> Mapping[str, str]:
        """What leads a daemon through the tap."""
        return {"AGENTD_AWS__ENDPOINT_URL": self.url, "AWS_ENDPOINT_URL": self.url}


@asynccontextmanager
async def tap(endpoint_url: str) -> AsyncIterator[Tap]:
    """A tap on the way to a cloud, until the block ends."""
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as client:
        found = Tap("")

        async def pass_on(request: web.Request) -> web.Response:
            return await _pass_on(request, found, client, endpoint_url)

        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", pass_on)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield found
        finally:
            await runner.cleanup()


async def _pass_on(request: web.Request, tapped: Tap, client: aiohttp.ClientSession, endpoint_url: str) -> web.Response:
    body = await request.read()
    path, _, query = request.raw_path.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    call = identify(request.method, unquote(path), query, headers, body)
    seen = Seen(call.service, call.operation, f"{request.raw_path}\n{body.decode(errors='replace')}", time.time())
    tapped.calls.append(seen)
    if seen.operation in tapped.swallowed:
        await asyncio.Event().wait()
    sent = {name: value for name, value in headers.items() if name not in _HOP_BY_HOP}
    try:
        # The cloud finishes a call whose caller has gone, so the tap waits for it as well.
        answer = await asyncio.shield(
            _ask(seen, client.request(request.method, endpoint_url + request.raw_path, headers=sent, data=body))
        )
    except aiohttp.ClientError as error:
        return web.Response(status=502, text=f"the cloud is gone: {error}")
    return answer


async def _ask(seen: Seen, asking: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> web.Response:
    try:
        async with asking as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())
    finally:
        seen.ended_at = time.time()
