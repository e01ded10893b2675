"""Lists: which objects, in which pages, as of which revision."""

import base64
import binascii
import json
from dataclasses import dataclass

from agentd.embedded.kube.kinds import Kind
from agentd.embedded.kube.objects import Object, ObjectView, name_of, namespace_of
from agentd.embedded.kube.selectors import Test, by_fields, by_labels
from agentd.embedded.kube.status import ApiError, Cause, Details, bad_request
from agentd.embedded.kube.world import World

_TIMEOUT = 504
_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing "
    "with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the "
    "time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind are meant."""

    kind: Kind
    namespace: str | None
    """None for all namespaces."""
    labels: Test | None = None
    fields: Test | None = None

    @classmethod
    def read(cls, kind: Kind, namespace: str | None, labels: str, fields: str) -> "Selection":
        """From query parameters. ApiError 400."""
        return cls(kind, namespace, by_labels(labels), by_fields(fields, kind.resource, kind.selectable))

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out by a selector."""
        return self.labels is None and self.fields is None

    def has(self, item: ObjectView) -> bool:
        """Whether the object is meant, if it is in the namespace."""
        return (self.labels is None or self.labels(item)) and (self.fields is None or self.fields(item))

    def covers(self, item: ObjectView) -> bool:
        """Whether the object is meant."""
        return self.namespace in (None, namespace_of(item)) and self.has(item)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """How much of a list, and as of when."""

    limit: int = 0
    token: str = ""
    version: str = ""
    version_match: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, or all of it."""

    items: list[ObjectView]
    metadata: Object


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a page begins."""

    revision: int
    after: tuple[str, str] | None = None

    def token(self) -> str:
        place = "/".join(self.after or ())
        return base64.urlsafe_b64encode(json.dumps({"v": "1", "rv": self.revision, "start": place}).encode()).decode()


def selected(world: World, selection: Selection) -> list[Object]:
    """The objects as they are."""
    items = world.store.all(selection.kind.resource, selection.namespace)
    return list(items) if selection.is_whole else [item for item in items if selection.has(item)]


def page(world: World, selection: Selection, options: ListOptions) -> Page:
    """The page that is asked for. ApiError 410 when its revision is no longer known, 504 when it is not reached yet."""
    start = _start(world, options)
    items = [item for item in _as_of(world, selection, start) if selection.has(item)]
    if start.after is not None:
        items = [item for item in items if _place(item) > start.after]
    revision = world.store.revision if start.revision < 0 else start.revision
    metadata: Object = {"resourceVersion": str(revision)}
    if selection.kind.custom:
        metadata["continue"] = ""
    if options.limit and len(items) > options.limit:
        rest, items = items[options.limit :], items[: options.limit]
        metadata["continue"] = _Start(revision, _place(items[-1])).token()
        if selection.is_whole:
            metadata["remainingItemCount"] = len(rest)
    return Page(items, metadata)


def _as_of(world: World, selection: Selection, start: _Start) -> list[ObjectView]:
    if start.revision in (-1, world.store.revision):
        return list(world.store.all(selection.kind.resource, selection.namespace))
    try:
        return list(world.store.snapshot(selection.kind.resource, selection.namespace, start.revision))
    except ApiError as error:
        if start.after is None:
            raise
        raise ContinueExpired(_Start(-1, start.after).token()) from error


class ContinueExpired(ApiError):
    """A page that can no longer be shown as of its first one's revision; the rest can be had as it is now."""

    def __init__(self, token: str) -> None:
        super().__init__(410, "Expired", _TOO_OLD)
        self._token = token

    def status(self) -> Object:
        """With the token for the inconsistent rest."""
        return {**super().status(), "metadata": {"continue": self._token}}


def _start(world: World, options: ListOptions) -> _Start:
    if options.token:
        return _read_token(options.token)
    revision = _revision(options.version)
    if revision > world.store.revision:
        raise too_large(revision, world.store.revision)
    return _Start(revision if options.version_match == "Exact" else world.store.revision)


def _read_token(token: str) -> _Start:
    try:
        told = json.loads(base64.urlsafe_b64decode(token))
        namespace, _, name = told["start"].rpartition("/")
        return _Start(int(told["rv"]), (namespace, name))
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error


def _revision(version: str) -> int:
    if not version:
        return 0
    if not version.isdecimal():
        raise bad_request(f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax')
    return int(version)


def too_large(asked: int, current: int) -> ApiError:
    """A revision that is not reached yet."""
    causes = [Cause("ResourceVersionTooLarge", "Too large resource version", "")]
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiError(_TIMEOUT, "Timeout", message, Details(causes=causes, retry_after_s=1))


def _place(item: ObjectView) -> tuple[str, str]:
    return (namespace_of(item), name_of(item))
