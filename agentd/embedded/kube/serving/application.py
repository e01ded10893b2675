"""The server: control routes, discovery, and the API itself behind faults and the count of calls."""

import asyncio

from aiohttp import web

from agentd.embedded.control import Control
from agentd.embedded.faults import Fault, FaultKind
from agentd.embedded.kube.kinds import Kinds
from agentd.embedded.kube.objects import Object
from agentd.embedded.kube.serving.answers import answer, document, failure, hang_up
from agentd.embedded.kube.serving.asked import Asked
from agentd.embedded.kube.serving.discovery import core_versions, group, group_list, resource_list, version
from agentd.embedded.kube.serving.handlers import handle
from agentd.embedded.kube.serving.openapi import openapi_v2, openapi_v3, openapi_v3_index
from agentd.embedded.kube.serving.queries import flag
from agentd.embedded.kube.serving.targets import PathUnknown, Target, find_target, verb_of
from agentd.embedded.kube.status import ApiError, Details
from agentd.embedded.kube.world import Denial, World

_LARGEST_BODY = 4 * 1024 * 1024
_HEALTH = ("/healthz", "/livez", "/readyz")
_DEFAULT_CODE = "InternalFailure"
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Api:
    """The API of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._control = Control()
        self._late_calls: set[asyncio.Task[web.StreamResponse]] = set()

    def application(self) -> web.Application:
        """Everything that is served."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        self._control.add_routes(app.router)
        app.router.add_post("/_embedded/compact", self._compact)
        app.router.add_put("/_embedded/denials", self._deny)
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _compact(self, _request: web.Request) -> web.Response:
        self._world.store.compact()
        return web.json_response({})

    async def _deny(self, request: web.Request) -> web.Response:
        self._world.denials[:] = [Denial(**told) for told in await request.json()]
        return web.json_response({})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        try:
            told = _about_the_server(self._world, path)
            if told is not None:
                return told
            target = find_target(self._world.kinds, path)
            verb = verb_of(target, request.method, watching=flag(request.query, "watch"))
            asked = Asked(request, target, verb, await request.read())
        except PathUnknown:
            return web.Response(status=404, text="404 page not found\n")
        except ApiError as error:
            return failure(error)
        return await self._carry_out(asked)

    async def _carry_out(self, asked: Asked) -> web.StreamResponse:
        resource = asked.target.resource
        self._control.count(resource, _counted(asked))
        text = f"{asked.request.path_qs}\n{asked.body.decode('utf-8', errors='replace')}"
        fault = self._control.faults.take(resource, asked.verb, text)
        if fault is None:
            return await self._answered(asked)
        return await self._show(fault, asked)

    async def _show(self, fault: Fault, asked: Asked) -> web.StreamResponse:
        if fault.kind in (FaultKind.DELAY, FaultKind.DROP_AFTER):
            answered = await self._late(fault.delay_s, asked)
            return answered if fault.kind is FaultKind.DELAY else hang_up(asked.request)
        await asyncio.sleep(fault.delay_s)
        match fault.kind:
            case FaultKind.ERROR:
                return failure(_injected(fault, asked.target))
            case FaultKind.ANSWER:
                return answer(fault.body.encode())
            case _:
                return hang_up(asked.request)

    async def _late(self, delay_s: float, asked: Asked) -> web.StreamResponse:
        """Carried out after a while, whether or not the client still waits."""

        async def carry_out() -> web.StreamResponse:
            await asyncio.sleep(delay_s)
            return await self._answered(asked)

        if asked.verb == "watch":
            return await carry_out()
        task = asyncio.create_task(carry_out(), name="a late call")
        self._late_calls.add(task)
        task.add_done_callback(self._late_calls.discard)
        return await asyncio.shield(task)

    async def _answered(self, asked: Asked) -> web.StreamResponse:
        try:
            return await handle(self._world, asked)
        except ApiError as error:
            return failure(error)


def _about_the_server(world: World, path: str) -> web.Response | None:
    if path in _HEALTH or path.startswith(("/livez/", "/readyz/")):
        return web.Response(text="ok")
    parts = path.strip("/").split("/")
    told = _discovered(world.kinds, parts) or _described(world.kinds, parts)
    return None if told is None else document(told)


def _discovered(kinds: Kinds, parts: list[str]) -> Object | None:
    found: Object | None = None
    match parts:
        case ["version"]:
            found = version()
        case ["api"]:
            found = core_versions()
        case ["apis"]:
            found = group_list(kinds)
        case ["apis", name]:
            found = group(kinds, name)
        case ["api", "v1"]:
            found = resource_list(kinds, "", "v1")
        case ["apis", name, version_name]:
            found = resource_list(kinds, name, version_name)
    return found


def _described(kinds: Kinds, parts: list[str]) -> Object | None:
    match parts:
        case ["openapi", "v2"]:
            return openapi_v2(kinds)
        case ["openapi", "v3"]:
            return openapi_v3_index(kinds)
        case ["openapi", "v3", "api", "v1"]:
            return openapi_v3(kinds, "", "v1")
        case ["openapi", "v3", "apis", name, version_name]:
            return openapi_v3(kinds, name, version_name)
    return None


def _counted(asked: Asked) -> str:
    """The verb; of what changes nothing, with a mark that says so."""
    dry = asked.request.query.get("dryRun") and asked.verb not in ("get", "list", "watch")
    return f"{asked.verb} (dry run)" if dry else asked.verb


def _injected(fault: Fault, target: Target) -> ApiError:
    reason = _REASONS.get(fault.status, "") if fault.code == _DEFAULT_CODE else fault.code
    kind = target.kind
    details = Details(target.name, kind.group, kind.plural, retry_after_s=fault.retry_after_s or 0)
    return ApiError(fault.status, reason, fault.message, details)
