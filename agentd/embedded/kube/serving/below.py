"""Requests for subresources: which there are, and who answers them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from agentd.embedded.kube.encoding import encode
from agentd.embedded.kube.kinds import NAMESPACES, PODS, SERVICE_ACCOUNTS
from agentd.embedded.kube.serving.answers import answer, document
from agentd.embedded.kube.serving.asked import Asked, read_patch
from agentd.embedded.kube.serving.queries import flag
from agentd.embedded.kube.status import method_not_allowed, unknown_path
from agentd.embedded.kube.subresources.logs import check_log, followed, text_of
from agentd.embedded.kube.subresources.pods import bind_pod, evict
from agentd.embedded.kube.subresources.scale import get_scale, patch_scale, put_scale
from agentd.embedded.kube.subresources.tokens import create_token
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes import replace

_CREATED = 201
_LOG = (PODS, "log")


def is_special(asked: Asked) -> bool:
    """Whether the subresource is anything but the object itself, seen from its status. ApiError 404 when there is none."""
    target = asked.target
    if not target.subresource:
        return False
    if target.subresource == "status" and target.kind.status:
        return False
    if target.subresource == "scale" and target.kind.scale:
        return True
    place = (target.kind.resource, target.subresource)
    if place in _OTHERS or place == _LOG:
        return True
    raise unknown_path()


async def handle_below(world: World, asked: Asked) -> web.StreamResponse:
    """The answer. ApiError."""
    target = asked.target
    if target.subresource == "scale":
        return _scale(world, asked)
    if (target.kind.resource, target.subresource) == _LOG:
        return await _log(world, asked)
    verb, make = _OTHERS[target.kind.resource, target.subresource]
    if asked.verb != verb:
        raise method_not_allowed()
    return make(world, asked)


def _scale(world: World, asked: Asked) -> web.Response:
    call = asked.call()
    match asked.verb:
        case "get":
            return document(get_scale(world, call))
        case "update":
            return document(put_scale(world, call, asked.json()))
        case "patch":
            return document(patch_scale(world, call, read_patch(asked)))
        case _:
            raise method_not_allowed()


async def _log(world: World, asked: Asked) -> web.StreamResponse:
    call, query = asked.call(), asked.request.query
    pod = check_log(world, call, query.get("container", ""))
    if not flag(query, "follow"):
        return web.Response(text=text_of(pod, query))
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(asked.request)
    async for text in followed(world, call, pod, query):
        if text:
            await response.write(text)
    await response.write_eof()
    return response


def _finalize(world: World, asked: Asked) -> web.Response:
    call = asked.call()
    item, _ = replace(world, call, asked.json())
    return answer(encode(call.kind, item))


def _evict(world: World, asked: Asked) -> web.Response:
    return document(evict(world, asked.call(), asked.json()), _CREATED)


def _bind(world: World, asked: Asked) -> web.Response:
    return document(bind_pod(world, asked.call(), asked.json()), _CREATED)


def _token(world: World, asked: Asked) -> web.Response:
    return document(create_token(world, asked.call(), asked.json()), _CREATED)


_OTHERS: Mapping[tuple[tuple[str, str], str], tuple[str, Callable[[World, Asked], web.Response]]] = MappingProxyType(
    {
        (NAMESPACES, "finalize"): ("update", _finalize),
        (PODS, "eviction"): ("create", _evict),
        (PODS, "binding"): ("create", _bind),
        (SERVICE_ACCOUNTS, "token"): ("create", _token),
    }
)
