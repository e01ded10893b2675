"""Where objects are: by resource, namespace and name, each change with a revision, and the latest changes kept.

Nothing waits here, so every call is atomic on the event loop. What is stored is never changed in place.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from agentd.embedded.kube.objects import Json, Object, name_of, namespace_of
from agentd.embedded.kube.status import ApiError, expired

Resource = tuple[str, str]
"""Group and plural name."""

_KEPT_CHANGES = 4096
_FIRST_REVISION = 1


class ChangeType(StrEnum):
    """What happened to an object, in the words of a watch."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class Stored(dict[str, Json]):
    """An object as it is stored, which is for good: its encoding is made once."""

    __slots__ = ("encoded",)

    def __init__(self, item: Object) -> None:
        super().__init__(item)
        self.encoded: bytes | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `item` is the object after it; of a deletion, its last state with the revision of the deletion."""

    revision: int
    resource: Resource
    type: ChangeType
    item: Object
    previous: Object | None


class Feed:
    """The latest changes of one resource, for those who follow it."""

    def __init__(self, kept: int, compacted: int) -> None:
        self._kept = kept
        self._changes: list[Change] = []
        self._changed = asyncio.Event()
        self.compacted = compacted
        """Changes up to this revision are gone."""

    def add(self, change: Change) -> None:
        """Tell everybody who waits."""
        self._changes.append(change)
        if len(self._changes) > 2 * self._kept:
            self.compact(self._changes[-self._kept - 1].revision)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def compact(self, revision: int) -> None:
        """Forget what happened up to a revision."""
        self.compacted = max(self.compacted, revision)
        del self._changes[: bisect_right(self._changes, revision, key=lambda change: change.revision)]
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def since(self, revision: int) -> list[Change]:
        """What happened after a revision. ApiError 410 when not all of it is known any more."""
        if revision < self.compacted:
            raise too_old(revision, self.compacted)
        return self._changes[bisect_right(self._changes, revision, key=lambda change: change.revision) :]

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change."""
        return self._changed


def too_old(revision: int, oldest: int) -> ApiError:
    """The revision is no longer kept."""
    return expired(f"too old resource version: {revision} ({oldest})")


class Store:
    """All objects, and the revision that the newest change has."""

    def __init__(self, kept_changes: int = _KEPT_CHANGES) -> None:
        self._kept = kept_changes
        self._items: dict[Resource, dict[str, dict[str, Object]]] = {}
        self._feeds: dict[Resource, Feed] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._compacted = 0
        self.revision = _FIRST_REVISION

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call this at every change, at once."""
        self._listeners.append(listener)

    def feed(self, resource: Resource) -> Feed:
        """The latest changes of a resource."""
        known = self._feeds.get(resource)
        if known is None:
            known = self._feeds[resource] = Feed(self._kept, self._compacted)
        return known

    def begin_feed(self, resource: Resource) -> None:
        """A resource is served from now on: nobody can follow it from an earlier revision."""
        if resource not in self._feeds:
            self._feeds[resource] = Feed(self._kept, self.revision)

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object as it is; not to be changed."""
        return self._items.get(resource, {}).get(namespace, {}).get(name)

    def all(self, resource: Resource, namespace: str | None = None) -> Iterator[Object]:
        """All objects of a resource, or those of one namespace; sorted by namespace and name."""
        spaces = self._items.get(resource, {})
        for space in sorted(spaces) if namespace is None else (namespace,):
            items = spaces.get(space, {})
            for name in sorted(items):
                yield items[name]

    def count(self, resource: Resource, namespace: str) -> int:
        """How many objects of a resource a namespace has."""
        return len(self._items.get(resource, {}).get(namespace, {}))

    def put(self, resource: Resource, item: Object) -> Object:
        """Store a new object or a new state of one, under a new revision; returns it as stored. The caller gives it away."""
        namespace, name = namespace_of(item), name_of(item)
        previous = self.get(resource, namespace, name)
        self.revision += 1
        item["metadata"]["resourceVersion"] = str(self.revision)
        item = Stored(item)
        self._items.setdefault(resource, {}).setdefault(namespace, {})[name] = item
        kind = ChangeType.ADDED if previous is None else ChangeType.MODIFIED
        self._tell(Change(self.revision, resource, kind, item, previous))
        return item

    def remove(self, resource: Resource, namespace: str, name: str) -> Object:
        """Take an object out; returns its last state. KeyError when there is none."""
        previous = self._items[resource][namespace].pop(name)
        if not self._items[resource][namespace]:
            del self._items[resource][namespace]
        self.revision += 1
        gone = Stored({**previous, "metadata": {**previous["metadata"], "resourceVersion": str(self.revision)}})
        self._tell(Change(self.revision, resource, ChangeType.DELETED, gone, previous))
        return gone

    def snapshot(self, resource: Resource, namespace: str | None, revision: int) -> list[Object]:
        """The objects as they were at a revision. ApiError 410 when that is no longer known."""
        items = {(namespace_of(item), name_of(item)): item for item in self.all(resource, namespace)}
        for change in reversed(self.feed(resource).since(revision)):
            place = (namespace_of(change.item), name_of(change.item))
            if namespace not in (None, place[0]):
                continue
            if change.previous is None:
                items.pop(place, None)
            else:
                items[place] = change.previous
        return [items[place] for place in sorted(items)]

    def compact(self) -> None:
        """Forget all changes so far, as etcd does every few minutes."""
        self._compacted = self.revision
        for feed in self._feeds.values():
            feed.compact(self.revision)

    def _tell(self, change: Change) -> None:
        self.feed(change.resource).add(change)
        for listener in self._listeners:
            listener(change)
