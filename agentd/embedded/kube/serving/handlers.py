"""One handler for each verb: from a request that is understood to its answer."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from agentd.embedded.kube.encoding import encode, encode_list
from agentd.embedded.kube.objects import Object
from agentd.embedded.kube.reads import page, selected
from agentd.embedded.kube.serving.answers import JSON, answer, document
from agentd.embedded.kube.serving.asked import Asked, read_patch
from agentd.embedded.kube.serving.below import handle_below, is_special
from agentd.embedded.kube.serving.queries import (
    delete_options_body,
    read_list_options,
    read_selection,
    read_watch_options,
)
from agentd.embedded.kube.serving.tables import table, wants_table
from agentd.embedded.kube.status import forbidden
from agentd.embedded.kube.subresources.reviews import USER, is_denied, is_review, review
from agentd.embedded.kube.watches import check_watch, events
from agentd.embedded.kube.world import Denial, World
from agentd.embedded.kube.writes import Call, DeleteOptions, create, delete, delete_collection, patch
from agentd.embedded.kube.writes import replace as put

_CREATED = 201


def _list(world: World, asked: Asked) -> web.Response:
    selection = read_selection(asked.target, asked.request.query)
    found = page(world, selection, read_list_options(asked.request.query))
    if wants_table(asked.request.headers.get("Accept", "")):
        return document(table(asked.target.kind, found.items, found.metadata, world.runtime.now()))
    return answer(encode_list(asked.target.kind, found.items, found.metadata))


async def _watch(world: World, asked: Asked) -> web.StreamResponse:
    selection = read_selection(asked.target, asked.request.query)
    options = read_watch_options(asked.request.query)
    check_watch(options)
    response = web.StreamResponse(headers={"Content-Type": JSON, "Cache-Control": "no-cache, private"})
    await response.prepare(asked.request)
    async for lines in events(world, selection, options):
        if lines:
            await response.write(lines)
    await response.write_eof()
    return response


def _get(world: World, asked: Asked) -> web.Response:
    call = asked.call()
    item = world.store.get(call.kind.resource, call.namespace, call.name)
    if item is None:
        raise call.not_found()
    if wants_table(asked.request.headers.get("Accept", "")):
        return document(table(call.kind, [item], {}, world.runtime.now()))
    return answer(encode(call.kind, item))


def _create(world: World, asked: Asked) -> web.Response:
    call = asked.call()
    if is_review(call.kind):
        return document(review(world, call, asked.json()), _CREATED)
    item = create(world, call, asked.json())
    return answer(encode(call.kind, item), _CREATED, call.warnings)


def _change(world: World, asked: Asked) -> web.Response:
    call = asked.call()
    if asked.verb == "update":
        item, is_new = put(world, call, asked.json())
    else:
        item, is_new = patch(world, call, read_patch(asked))
    return answer(encode(call.kind, item), _CREATED if is_new else 200, call.warnings)


def _delete(world: World, asked: Asked) -> web.Response:
    call, options = _deletion(asked)
    outcome = delete(world, call, options)
    if outcome.get("kind") == "Status":
        return document(outcome)
    return answer(encode(call.kind, outcome))


def _delete_collection(world: World, asked: Asked) -> web.Response:
    call, options = _deletion(asked)
    selection = read_selection(asked.target, asked.request.query)
    items = selected(world, selection)
    delete_collection(world, call, items, options)
    metadata: Object = {"resourceVersion": str(world.store.revision)}
    return answer(encode_list(call.kind, list(items), metadata))


def _deletion(asked: Asked) -> tuple[Call, DeleteOptions]:
    body = delete_options_body(asked.request.query, asked.json())
    call = asked.call()
    call.dry_run = call.dry_run or bool(body.get("dryRun"))
    return call, DeleteOptions.read(body)


_BY_VERB: Mapping[str, Callable[[World, Asked], web.Response]] = MappingProxyType(
    {
        "list": _list,
        "get": _get,
        "create": _create,
        "update": _change,
        "patch": _change,
        "delete": _delete,
        "deletecollection": _delete_collection,
    }
)


async def handle(world: World, asked: Asked) -> web.StreamResponse:
    """The answer. ApiError when there is none."""
    _check_allowed(world, asked)
    if is_special(asked):
        return await handle_below(world, asked)
    if asked.verb == "watch":
        return await _watch(world, asked)
    return _BY_VERB[asked.verb](world, asked)


def _check_allowed(world: World, asked: Asked) -> None:
    if not world.denials:
        return
    target, kind = asked.target, asked.target.kind
    namespace = target.namespace or ""
    attributes = Denial(asked.verb, kind.group, kind.plural, target.subresource, namespace, target.name)
    if is_denied(world, attributes):
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        why = f'User "{USER}" cannot {asked.verb} resource "{target.resource}" in API group "{kind.group}" {where}'
        raise forbidden(kind.group, kind.plural, target.name, why)
