"""Two states of an object, field by field. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentd.core.plans import FieldChange

Json = Any  # a value as the object's own API has it

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_NAME = "name"


def differences(before: Json, after: Json) -> tuple[FieldChange, ...]:
    """What makes one state the other, each difference as deep as it goes. None is a state without anything.

    Mappings are gone through by key, lists of named items by name, other lists of as many items by index: `spec.replicas`,
    `metadata.labels["a.b/c"]`, `spec.containers[name=main].image`, `rules[0].verbs`. All else differs as a whole, and so
    does a list whose named items have changed places.
    """
    return tuple(_walk("", before, after))


def _walk(path: str, before: Json, after: Json) -> Iterator[FieldChange]:
    if before == after:
        return
    parts = _mappings(before, after) or _named(before, after) or _numbered(before, after)
    if parts is None:
        yield FieldChange(path.removeprefix("."), before, after)
        return
    first, second = parts
    for step in {**first, **second}:
        yield from _walk(path + step, first.get(step), second.get(step))


_Parts = tuple[Mapping[str, Json], Mapping[str, Json]]


def _mappings(before: Json, after: Json) -> _Parts | None:
    if not _are(dict, before, after):
        return None
    first, second = before or {}, after or {}
    return ({_key(key): first[key] for key in first}, {_key(key): second[key] for key in second})


def _named(before: Json, after: Json) -> _Parts | None:
    if not _are(list, before, after):
        return None
    first, second = _by_name(before or ()), _by_name(after or ())
    if (
        first is None
        or second is None
        or [name for name in first if name in second] != [name for name in second if name in first]
    ):
        return None
    return first, second


def _numbered(before: Json, after: Json) -> _Parts | None:
    if not (isinstance(before, list) and isinstance(after, list)) or len(before) != len(after):
        return None
    if not all(isinstance(item, dict) for item in (*before, *after)):
        return None
    return (
        {f"[{index}]": item for index, item in enumerate(before)},
        {f"[{index}]": item for index, item in enumerate(after)},
    )


def _are(kind: type, before: Json, after: Json) -> bool:
    """Whether both are of this kind, or one is and the other is not there; and there is something to go through."""
    return all(value is None or isinstance(value, kind) for value in (before, after)) and bool(before or after)


def _by_name(items: Sequence[Json]) -> dict[str, Json] | None:
    """The items by their names; None unless each has one of its own."""
    if not all(isinstance(item, dict) and isinstance(item.get(_NAME), str) for item in items):
        return None
    found = {f"[{_NAME}={item[_NAME]}]": item for item in items}
    return found if len(found) == len(items) else None


def _key(key: str) -> str:
    return f".{key}" if _PLAIN.fullmatch(key) else f'["{key}"]'
