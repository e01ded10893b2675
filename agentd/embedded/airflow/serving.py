"""The server: control routes, and the API servers of all environments by their prefixes, behind faults and a count of calls."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web
from pydantic import ValidationError

from agentd.core import Runtime
from agentd.embedded.airflow.api import CALLS, OPEN, Answer, Asked, Json, get_log
from agentd.embedded.airflow.problems import Crashed, Refused
from agentd.embedded.airflow.setup import Setup
from agentd.embedded.airflow.tokens import check
from agentd.embedded.airflow.world import Environment
from agentd.embedded.control import Control
from agentd.embedded.faults import Fault, FaultKind

_LARGEST_BODY = 4 * 1024 * 1024
_PAGE = "<!doctype html>\n<html><head><title>Airflow</title></head><body></body></html>\n"
_NDJSON = "application/x-ndjson"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of the API. `path` is the one of CALLS; empty when there is no such call."""

    path: str
    parts: Sequence[str]

    @property
    def service(self) -> str:
        """What faults and counts name it by: its last word that is no name."""
        return next((word for word in reversed(self.path.split("/")) if word != "*"), "unknown")


class AirflowServer:
    """Airflows of any number of environments. They share a clock."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._control = Control()
        self._environments: dict[str, Environment] = {}

    def application(self) -> web.Application:
        """Everything that is served."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        self._control.add_routes(app.router)
        app.router.add_put("/_embedded/environments/{name}", self._set)
        app.router.add_delete("/_embedded/environments/{name}", self._remove)
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _set(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            setup = Setup.model_validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        self._environments.setdefault(name, Environment(name, self._runtime)).be(setup)
        return web.json_response({})

    async def _remove(self, request: web.Request) -> web.Response:
        self._environments.pop(request.match_info["name"], None)
        return web.json_response({})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        environment = next((found for found in self._environments.values() if _is_below(path, found.prefix)), None)
        if environment is None:
            # In a cluster nobody would answer: there is no Service, or none of its pods is ready.
            return web.Response(status=503, text="no environment has this prefix\n")
        below = path.removeprefix(environment.prefix).strip("/")
        if not below.startswith("api/"):
            return web.Response(text=_PAGE, content_type="text/html")
        call = _find(below.removeprefix("api/v2/"))
        body = await request.read()
        self._control.count(call.service, request.method)
        text = f"{request.path_qs}\n{body.decode('utf-8', errors='replace')}"
        fault = self._control.faults.take(call.service, request.method, text)
        if fault is None:
            return _answer(environment, call, request, body)
        return await _show(fault, environment, call, request, body)


async def _show(
    fault: Fault, environment: Environment, call: _Call, request: web.Request, body: bytes
) -> web.StreamResponse:
    await asyncio.sleep(fault.delay_s)
    match fault.kind:
        case FaultKind.ERROR:
            headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            return web.json_response({"detail": fault.message}, status=fault.status, headers=headers)
        case FaultKind.ANSWER:
            return web.Response(text=fault.body, content_type=_JSON)
        case FaultKind.DELAY:
            return _answer(environment, call, request, body)
        case FaultKind.DROP_AFTER:
            _answer(environment, call, request, body)
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=500)  # written to nobody: the connection is closed


def _answer(environment: Environment, call: _Call, request: web.Request, body: bytes) -> web.Response:
    now = environment.advance()
    try:
        user = ""
        if call.path not in OPEN:
            sent = request.headers.get("Authorization"), request.cookies.get("_token")
            user = check(*sent, environment.setup.jwt_secret, now, request.method)
        if not call.path:
            return web.json_response({"error": "API route not found"}, status=404)
        answer = _chosen(call, request.method)
        return _said(answer, answer(Asked(environment, user, call.parts, request, body)), request)
    except Refused as refused:
        return web.json_response(refused.body, status=refused.status)
    except Crashed:
        return web.Response(status=500, text="Internal Server Error")


def _chosen(call: _Call, method: str) -> Answer:
    by_method = CALLS[call.path]
    if method not in by_method:
        raise Refused(405, "Method Not Allowed")
    return by_method[method]


def _said(answer: Answer, body: Json, request: web.Request) -> web.Response:
    if answer is not get_log:
        return web.json_response(body)
    accepted = request.headers.get("Accept", "*/*")
    if accepted == _NDJSON:
        text = "".join(f"{json.dumps(event)}\n" for event in body["content"])
        return web.Response(text=text, content_type=_NDJSON)
    if accepted not in (_JSON, "*/*"):
        raise Refused(406, "Only application/json or application/x-ndjson is supported")
    return web.json_response(body)


def _find(below: str) -> _Call:
    words = [unquote(word) for word in below.split("/")]
    for path in CALLS:
        pattern = path.split("/")
        if len(pattern) == len(words) and all(p in ("*", w) for p, w in zip(pattern, words, strict=True)):
            return _Call(path, [word for p, word in zip(pattern, words, strict=True) if p == "*"])
    return _Call("", ())


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")
