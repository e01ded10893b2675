"""Who owns which fields, as the server records it, and the hand-over from creation to server-side apply. Pure.

An object is created by POST, which the server records as an Update by the field manager; later changes are an Apply by the
same manager. Server-side apply removes a field that the manifest does not have any more only if no other entry owns it, so
what the POST has set would stay for ever. So the Update's entry gives way to the Apply's, as in client-go's upgrade from
client-side apply; but for the server's defaults, which the POST owns as well and nobody has asked for.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from agentd.platform.cluster import FIELD_MANAGER, Manifest
from agentd.platform.kubernetes.marks import STAMPS

Entry = Mapping[str, Any]
"""One entry of `metadata.managedFields`."""
Path = tuple[str, ...]
"""To a field, in the spelling of FieldsV1: `f:name`, `k:{...}` and `v:...` for items of lists, `i:0`."""
Operation = dict[str, Any]
"""One operation of a JSON Patch."""
_Pointer = tuple[str | int, ...]

_APPLY = "Apply"
_UPDATE = "Update"
_ITSELF = "."
_MISSING = object()
_STAMPED = frozenset(("f:metadata", "f:labels", f"f:{key}") for key in STAMPS)


def left_over(live: Manifest, applied: Manifest) -> Sequence[Path]:
    """Fields that the creation owns and the manifest does not have: dropped since, or never there but by the server's defaults.

    `applied` is what an apply of the manifest would make of the object. A field that anybody else owns too is none of them,
    and of a field within another only the outer one is told.
    """
    created = _created(live, applied)
    if created is None:
        return ()
    others = [entry for entry in _entries(live) if not _is_own(entry)]
    kept = {path for entry in (_applied_entry(applied), *others) for path in _paths(entry["fieldsV1"])}
    holders = {path[:length] for path in kept for length in range(len(path))}
    extra = set(_paths(created["fieldsV1"])) - kept - holders
    return sorted(path for path in extra if not any(path[:length] in extra for length in range(len(path))))


def removal(live: Manifest, paths: Iterable[Path]) -> list[Operation]:
    """The JSON Patch that takes these fields off this state of the object, and off no other."""
    pointers = (pointer for path in paths if (pointer := _resolve(live, path)) is not None)
    version = live["metadata"]["resourceVersion"]
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        # The last first: an item that goes moves those behind it.
        *({"op": "remove", "path": _text(pointer)} for pointer in sorted(pointers, reverse=True)),
    ]


def changed(live: Manifest, other: Manifest, paths: Iterable[Path]) -> Sequence[Path]:
    """Those of the fields that are not the same in another state of the object."""
    return [path for path in paths if _value(live, path) != _value(other, path)]


def by_others(live: Manifest, other: Manifest) -> list[tuple[Entry, Sequence[Path]]]:
    """What others own of the object, each with those of its fields that are not the same in another state of it."""
    entries = [entry for entry in _entries(live) if entry.get("manager") != FIELD_MANAGER]
    return [(entry, changed(live, other, _paths(entry.get("fieldsV1") or {}))) for entry in entries]


def taken_from(source: Manifest | None, manifest: Manifest, paths: Iterable[Path]) -> Manifest:
    """The manifest with these fields as they are in the source; without those that the source has not."""
    made = deepcopy(manifest)
    found = [(pointer, path) for path in paths if (pointer := _resolve(made, path)) is not None]
    # The last first: an item that goes moves those behind it.
    for (*above, last), path in sorted(found, reverse=True):
        holder: Any = made
        for step in above:
            holder = holder[step]
        value = _MISSING if source is None else _value(source, path)
        if value is _MISSING:
            del holder[last]
        else:
            holder[last] = value
    return made


def handed_over(live: Manifest, applied: Manifest, dropped: Iterable[Path] = ()) -> list[Entry] | None:
    """All entries once the creation's has given way to the Apply's; None when there is nothing to hand over.

    The Apply owns what an apply of the manifest makes it own, and beside that the dropped fields: the next one removes them.
    """
    created = _created(live, applied)
    if created is None or _STAMPED.issuperset(owned := set(_paths(created["fieldsV1"]))):
        return None
    tops = tuple(dropped)
    taken = {path for path in owned if any(path[: len(top)] == top for top in tops)}
    entry = _applied_entry(applied)
    own = {**entry, "fieldsV1": _fields(taken.union(_paths(entry["fieldsV1"])))}
    return [own, *(other for other in _entries(live) if not _is_own(other))]


def all_handed_over(live: Manifest, wanted: Manifest) -> list[Entry] | None:
    """The same, but the Apply gets all that the creation owned, the server's defaults too: the next one makes them anew.

    For a manifest that cannot stand beside fields of the creation, such as a volume that is of another type now.
    """
    created = _created(live, wanted)
    if created is None or _STAMPED.issuperset(owned := set(_paths(created["fieldsV1"]))):
        return None
    owned.update(_paths(_applied_entry(live)["fieldsV1"]))
    own = {**created, "operation": _APPLY, "fieldsV1": _fields(owned)}
    return [own, *(other for other in _entries(live) if not _is_own(other))]


def remade(live: Manifest, wanted: Manifest) -> Manifest:
    """The object as the manifest has it, with what others own of it, and nothing else that the creation has set."""
    created = _created(live, wanted)
    others = {path for entry in _entries(live) if not _is_own(entry) for path in _paths(entry["fieldsV1"])}
    owned = set() if created is None else set(_paths(created["fieldsV1"])) - others
    extra = {path for path in owned if _resolve(wanted, path) is None}
    tops = [path for path in extra if not any(path[:length] in extra for length in range(len(path)))]
    made: Manifest = _laid_over(taken_from(None, live, tops), wanted)
    return made


def replacement(live: Manifest, other: Manifest) -> list[Operation]:
    """The JSON Patch that makes another content of this state of the object, and of no other."""
    kept = ("apiVersion", "kind", "metadata", "status")
    metadata = {name: other["metadata"].get(name) or {} for name in ("labels", "annotations")}
    gone = [name for name in live if name not in (*kept, *other)]
    version = live["metadata"]["resourceVersion"]
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        *({"op": "remove", "path": f"/{name}"} for name in gone),
        *({"op": "add", "path": f"/{name}", "value": other[name]} for name in other if name not in kept),
        *({"op": "add", "path": f"/metadata/{name}", "value": value} for name, value in metadata.items()),
    ]


def _laid_over(under: Any, over: Any) -> Any:  # noqa: ANN401 - any part of an object
    if isinstance(under, dict) and isinstance(over, dict):
        both = {key: _laid_over(under[key], over[key]) for key in under if key in over}
        return {**under, **over, **both}
    if not (isinstance(under, list) and isinstance(over, list)):
        return over
    named = {item["name"]: item for item in under if isinstance(item, dict) and "name" in item}
    if len(named) != len(under) or not all(isinstance(item, dict) and "name" in item for item in over):
        return over
    given = [_laid_over(named.pop(item["name"], {}), item) for item in over]
    return [*given, *named.values()]


def _created(live: Manifest, applied: Manifest) -> Entry | None:
    """What the creation owns, if it was in the manifest's own version: in another, the paths may not be the same."""
    found = _entry(_entries(live), _UPDATE)
    return found if found is not None and found["apiVersion"] == applied["apiVersion"] else None


def _applied_entry(applied: Manifest) -> Entry:
    found = _entry(_entries(applied), _APPLY)
    return found if found is not None else {"fieldsV1": {}}


def _entries(manifest: Manifest) -> Sequence[Entry]:
    return manifest["metadata"].get("managedFields") or ()


def _is_own(entry: Entry) -> bool:
    return entry.get("manager") == FIELD_MANAGER and not entry.get("subresource")


def _entry(entries: Iterable[Entry], operation: str) -> Entry | None:
    return next((entry for entry in entries if _is_own(entry) and entry.get("operation") == operation), None)


def _paths(fields: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    for key, inner in fields.items():
        if key == _ITSELF:
            yield above
        elif inner:
            yield from _paths(inner, (*above, key))
        else:
            yield (*above, key)


def _fields(paths: Iterable[Path]) -> dict[str, Any]:
    """FieldsV1 of these paths."""
    made: dict[str, Any] = {}
    for path in paths:
        node = made
        for step in path:
            node = node.setdefault(step, {})
        node[_ITSELF] = {}
    return _shortened(made)


def _shortened(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: {} if key == _ITSELF or inner.keys() == {_ITSELF} else _shortened(inner) for key, inner in fields.items()
    }


def _resolve(manifest: Manifest, path: Path) -> _Pointer | None:
    """Where the field is in the object; None when it is not there."""
    found: Any = manifest
    pointer: _Pointer = ()
    for step in path:
        place = _place(found, step)
        if place is None:
            return None
        found = found[place]
        pointer = (*pointer, place)
    return pointer


def _value(manifest: Manifest, path: Path) -> Any:  # noqa: ANN401 - any part of an object
    pointer = _resolve(manifest, path)
    if pointer is None:
        return _MISSING
    found: Any = manifest
    for step in pointer:
        found = found[step]
    return found


def _place(found: Any, step: str) -> str | int | None:  # noqa: ANN401 - any part of an object
    kind, _, name = step.partition(":")
    if kind == "f":
        return name if isinstance(found, dict) and name in found else None
    if not isinstance(found, list):
        return None
    wanted = json.loads(name)
    if kind == "i":
        return int(wanted) if wanted < len(found) else None
    for index, item in enumerate(found):
        if (kind == "v" and item == wanted) or (kind == "k" and _has_keys(item, wanted)):
            return index
    return None


def _has_keys(item: Any, keys: Mapping[str, Any]) -> bool:  # noqa: ANN401 - an item of any list
    return isinstance(item, dict) and all(item.get(key) == value for key, value in keys.items())


def _text(pointer: _Pointer) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in pointer)
