"""What differs between two values of a type."""

from dataclasses import dataclass, field

from agentd.embedded.kube.objects import Json
from agentd.embedded.kube.schema import Form, Type
from agentd.embedded.kube.typed.paths import (
    ABSENT,
    FieldSet,
    Path,
    child_type,
    element_type,
    field_element,
    item_element,
    resolved,
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The fields that are new, gone, or other than they were."""

    added: FieldSet
    removed: FieldSet
    modified: FieldSet

    @property
    def touched(self) -> FieldSet:
        """What the new value sets otherwise than the old one."""
        return self.added | self.modified


@dataclass(slots=True)
class _Differences:
    added: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)

    def note(self, path: Path, old: Json, new: Json) -> None:
        if old is ABSENT:
            self.added.add(path)
        elif new is ABSENT:
            self.removed.add(path)
        elif old != new:
            self.modified.add(path)


def compare(kind: Type, old: Json, new: Json) -> Comparison:
    """The differences, leaf by leaf; atomic lists and maps are leaves."""
    found = _Differences()
    _walk(kind, old, new, (), found)
    return Comparison(frozenset(found.added), frozenset(found.removed), frozenset(found.modified))


def _walk(kind: Type, old: Json, new: Json, path: Path, found: _Differences) -> None:
    if old is new or (old is not ABSENT and new is not ABSENT and old == new):
        return
    kind = resolved(kind, new, old)
    if kind.form is Form.SCALAR or kind.atomic or _both_empty(old, new) or not _alike(kind, old, new):
        found.note(path, old, new)
        return
    if kind.form is Form.LIST:
        _walk_lists(kind, _items(old), _items(new), path, found)
    else:
        _walk_maps(kind, _entries(old), _entries(new), path, found)
    if old is ABSENT or new is ABSENT:
        found.note(path, old, new)


def _walk_maps(kind: Type, old: dict[str, Json], new: dict[str, Json], path: Path, found: _Differences) -> None:
    for name in {**old, **new}:
        before, after = old.get(name, ABSENT), new.get(name, ABSENT)
        _walk(child_type(kind, name), before, after, (*path, field_element(name)), found)


def _walk_lists(kind: Type, old: list[Json], new: list[Json], path: Path, found: _Differences) -> None:
    before, after = _by_element(kind, old), _by_element(kind, new)
    for element in {**before, **after}:
        left, right = before.get(element, []), after.get(element, [])
        below = (*path, element)
        if len(left) > 1 or len(right) > 1:
            found.note(below, left or ABSENT, right or ABSENT)  # duplicates count as one leaf
        else:
            _walk(element_type(kind), left[0] if left else ABSENT, right[0] if right else ABSENT, below, found)


def _by_element(kind: Type, items: list[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for item in items:
        found.setdefault(item_element(kind, item), []).append(item)
    return found


def _alike(kind: Type, *values: Json) -> bool:
    wanted = list if kind.form is Form.LIST else dict
    return all(value is ABSENT or value is None or isinstance(value, wanted) for value in values)


def _both_empty(old: Json, new: Json) -> bool:
    return (old is ABSENT or not old) and (new is ABSENT or not new)


def _items(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _entries(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}
