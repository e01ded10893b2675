"""The child process of the emulated cloud: ministack behind a front that counts calls and shows faults.

Started by `agentd.embedded.cloud`, never by hand. It listens on loopback, writes its port as one line to standard output
when it is ready, and ends when its standard input does, so that it cannot outlive its parent.

The front is aiohttp's server and not the emulator's own: only a server of ours can close a connection without an answer.
It also cuts ECR's listings into pages and takes single tags off images, as AWS does and the emulator does not. The
emulator's start-up hooks (containers, MQTT, init scripts) are left out; the services used here need none.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote
from uuid import uuid4
from xml.sax.saxutils import escape

from aiohttp import web

from agentd.embedded import untagging
from agentd.embedded.calls import Call, Protocol, identify
from agentd.embedded.child_side import prepare, serve_forever
from agentd.embedded.control import Control
from agentd.embedded.faults import Fault, FaultKind
from agentd.embedded.paging import BadToken, ask_for_all, cut, is_paged

# The shapes of the ASGI specification: free-form mappings.
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]
CarryOut = Callable[[Send], Awaitable[None]]

_LENGTH_HEADERS = (b"content-length", b"transfer-encoding")


class Front:
    """What stands between the clients and the emulator."""

    def __init__(self, cloud: Asgi) -> None:
        self._cloud = cloud
        self._control = Control()

    def application(self) -> web.Application:
        """The control routes, and everything else to the emulator."""
        app = web.Application(client_max_size=0)
        self._control.add_routes(app.router)
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw_path, _, query = request.raw_path.partition("?")
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        call = identify(request.method, unquote(raw_path), query, headers, body)
        self._control.count(call.service, call.operation)
        text = f"{request.raw_path}\n{body.decode('utf-8', errors='replace')}"
        fault = self._control.faults.take(call.service, call.operation, text)

        async def carry_out(send: Send) -> None:
            await self._call(request, raw_path, query, ask_for_all(body) if is_paged(call) else body, send)

        if fault is None:
            return await _answer(call, request, body, carry_out)
        return await self._show(fault, call, request, body, carry_out)

    async def _show(
        self, fault: Fault, call: Call, request: web.Request, body: bytes, carry_out: CarryOut
    ) -> web.StreamResponse:
        await asyncio.sleep(fault.delay_s)
        match fault.kind:
            case FaultKind.ERROR:
                return _error(call, fault.status, fault.code, fault.message, fault.retry_after_s)
            case FaultKind.ANSWER:
                return _plain(call, HTTPStatus.OK, fault.body, {})
            case FaultKind.DROP_BEFORE:
                return _hang_up(request)
            case FaultKind.DROP_AFTER:
                await carry_out(_discard)
                return _hang_up(request)
            case FaultKind.DELAY:
                return await _answer(call, request, body, carry_out)

    async def _call(self, request: web.Request, raw_path: str, query: str, body: bytes, send: Send) -> None:
        headers = [(name.lower(), value) for name, value in request.raw_headers if name.lower() not in _LENGTH_HEADERS]
        scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(raw_path),
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
            "client": request.transport.get_extra_info("peername") if request.transport else None,
        }
        incoming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return incoming.pop() if incoming else {"type": "http.disconnect"}

        # A task of its own for each request: the emulator keeps account and region in context variables.
        async with asyncio.TaskGroup() as group:
            group.create_task(_run(self._cloud, scope, receive, send))


class _Relay:
    """Turns the emulator's ASGI messages into the answer to a request."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(status=500)

    async def send(self, message: Message) -> None:
        """The emulator's `send`."""
        if message["type"] == "http.response.start":
            self.response = web.StreamResponse(status=message["status"])
            for name, value in message["headers"]:
                self.response.headers.add(name.decode("latin-1"), value.decode("latin-1"))
            await self.response.prepare(self._request)
            return
        if message.get("body") and self._request.method != "HEAD":
            await self.response.write(message["body"])
        if not message.get("more_body", False):
            await self.response.write_eof()


async def _run(cloud: Asgi, scope: Message, receive: Receive, send: Send) -> None:
    await cloud(scope, receive, send)


async def _answer(call: Call, request: web.Request, body: bytes, carry_out: CarryOut) -> web.StreamResponse:
    if is_paged(call):
        return await _page(call, body, carry_out)
    relay = _Relay(request)
    await carry_out(relay.send)
    return relay.response


async def _page(call: Call, body: bytes, carry_out: CarryOut) -> web.Response:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await carry_out(keep)
    start, *rest = messages
    try:
        answer = cut(call, body, b"".join(message.get("body", b"") for message in rest))
    except BadToken as error:
        return _error(call, HTTPStatus.BAD_REQUEST, "InvalidParameterException", str(error), None)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
    headers.pop("content-length", None)
    return web.Response(status=start["status"], headers=headers, body=answer)


async def _discard(_message: Message) -> None:
    """The answer that gets lost."""


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=500)  # written to nobody: the connection is closed


def _error(call: Call, status: int, code: str, message: str, retry_after_s: int | None) -> web.Response:
    request_id = str(uuid4())
    headers = {"x-amzn-RequestId": request_id, "x-amz-request-id": request_id}
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    detail = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    match call.protocol:
        case Protocol.JSON:
            text = json.dumps({"__type": code, "message": message})
        case Protocol.QUERY:
            text = f"<ErrorResponse><Error>{detail}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        case Protocol.REST_XML:
            text = f"<Error>{detail}<RequestId>{request_id}</RequestId></Error>"
    return _plain(call, status, text, headers)


def _plain(call: Call, status: int, text: str, headers: Mapping[str, str]) -> web.Response:
    content_type = "application/x-amz-json-1.1" if call.protocol is Protocol.JSON else "text/xml"
    return web.Response(status=status, text=text, content_type=content_type, headers=headers)


async def _serve(listener: socket.socket) -> None:
    from ministack.app import app

    untagging.install()
    await serve_forever(Front(app).application(), listener)


def main() -> None:
    """Serve on the loopback port given as the only argument (0: any)."""
    listener = prepare(int(sys.argv[1]))
    # Before the import: the emulator reads it then, and puts it into queue URLs.
    os.environ["GATEWAY_PORT"] = str(listener.getsockname()[1])
    asyncio.run(_serve(listener))


if __name__ == "__main__":
    main()
