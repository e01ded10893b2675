"""Watches: what happened since a revision, and what happens from now on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass

from agentd.embedded.kube.encoding import dump, encode, encode_event
from agentd.embedded.kube.objects import Object
from agentd.embedded.kube.reads import Selection, selected
from agentd.embedded.kube.status import ApiError, Cause, forbidden_field, invalid
from agentd.embedded.kube.store import Change, ChangeType
from agentd.embedded.kube.world import World

_BOOKMARK_EVERY_S = 60.0
_PASSED_BY_S = 1.0  # a bookmark comes soon when only what is not selected has changed
_INITIAL_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """From when, for how long, and with which extras."""

    version: str = ""
    version_match: str = ""
    timeout_s: float = 1800.0
    bookmarks: bool = False
    initial_events: bool | None = None
    """Begin with what is there, and say where that ends: a streamed list."""


def check_watch(options: WatchOptions) -> None:
    """ApiError 422 for options that do not go together."""
    causes: list[Cause] = []
    if options.initial_events is not None and not options.version_match:
        causes.append(
            forbidden_field("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch")
        )
    elif options.initial_events is None and options.version_match:
        causes.append(
            forbidden_field(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )
        )
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)


async def events(world: World, selection: Selection, options: WatchOptions) -> AsyncIterator[bytes]:
    """Lines of a watch, as many as there are at a time; ends when its time is over, or with an error line."""
    clock = world.runtime.monotonic
    deadline, bookmark_at = clock() + options.timeout_s, clock() + _BOOKMARK_EVERY_S
    feed = world.store.feed(selection.kind.resource)
    revision, lines = _beginning(world, selection, options)
    while True:
        if lines:
            yield lines
        changed = feed.changed
        try:
            changes = feed.since(revision)
        except ApiError as error:
            yield encode_event("ERROR", dump(error.status()))
            return
        lines = b"".join(_lines(selection, changes))
        if changes:
            revision = changes[-1].revision
            bookmark_at = bookmark_at if lines else min(bookmark_at, clock() + _PASSED_BY_S)
        elif clock() >= deadline or (options.bookmarks and clock() >= bookmark_at):
            revision, bookmark_at = world.store.revision, clock() + _BOOKMARK_EVERY_S
            lines = _bookmark(selection, revision) if options.bookmarks else b""
            if clock() >= deadline:
                yield lines
                return
        else:
            await _wait(changed, min(deadline, bookmark_at if options.bookmarks else deadline) - clock())


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await changed.wait()


def _beginning(world: World, selection: Selection, options: WatchOptions) -> tuple[int, bytes]:
    of_old = options.version in ("", "0")
    if not (of_old if options.initial_events is None else options.initial_events):
        return int(options.version or world.store.revision), b""
    kind, revision = selection.kind, world.store.revision
    lines = [encode_event("ADDED", encode(kind, item)) for item in selected(world, selection)]
    if options.initial_events and options.bookmarks:
        lines.append(_bookmark(selection, revision, initial_end=True))
    return revision, b"".join(lines)


def _bookmark(selection: Selection, revision: int, *, initial_end: bool = False) -> bytes:
    kind = selection.kind
    metadata: Object = {"resourceVersion": str(revision)}
    if initial_end:
        metadata["annotations"] = {_INITIAL_END: "true"}
    return encode_event("BOOKMARK", dump({"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}))


def _lines(selection: Selection, changes: list[Change]) -> Iterator[bytes]:
    """An object that comes to be selected is added, and one that no longer is, deleted."""
    for change in changes:
        was = change.previous is not None and selection.covers(change.previous)
        here = change.type is not ChangeType.DELETED and selection.covers(change.item)
        if here:
            yield encode_event("MODIFIED" if was else "ADDED", encode(selection.kind, change.item))
        elif was:
            yield encode_event("DELETED", encode(selection.kind, _last_seen(change)))


def _last_seen(change: Change) -> Object:
    if change.type is ChangeType.DELETED or change.previous is None:
        return change.item
    version = change.item["metadata"]["resourceVersion"]
    return {**change.previous, "metadata": {**change.previous["metadata"], "resourceVersion": version}}
