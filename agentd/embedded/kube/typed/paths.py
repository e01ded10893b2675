"""Paths to fields and sets of them, in the spelling of FieldsV1: f:name, k:{"key":value}, v:value."""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from agentd.embedded.kube.objects import Json
from agentd.embedded.kube.schema import ANY, Form, Type, any_of

Path = tuple[str, ...]
FieldSet = frozenset[Path]


class _Absent:
    """What a side does not have at all; null is a value."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
MEMBER = "."
# Keys of associative lists that may be left out, and what they are then.
_KEY_DEFAULTS = MappingProxyType({"protocol": "TCP"})


def field_element(name: str) -> str:
    """The path element of a field."""
    return f"f:{name}"


def item_element(kind: Type, item: Json) -> str:
    """The path element of an item of an associative list. A key that is left out counts as its default, or as null."""
    if kind.is_set:
        return f"v:{_canonical(item)}"
    told = item if isinstance(item, Mapping) else {}
    keys = {key: told.get(key) for key in sorted(kind.keys)}
    return f"k:{_canonical({key: _KEY_DEFAULTS.get(key) if value is None else value for key, value in keys.items()})}"


def resolved(kind: Type, *values: Json) -> Type:
    """The type itself, or what the first of the values that tells makes of an unknown one."""
    if kind.form is not Form.ANY:
        return kind
    return next((any_of(value) for value in values if value is not ABSENT and value is not None), any_of(None))


def child_type(kind: Type, name: str) -> Type:
    """The type of a field; of one that is not declared, any."""
    return kind.field_type(name) or ANY


def element_type(kind: Type) -> Type:
    """The type of a list's items."""
    return kind.element or ANY


def shown_path(path: Path) -> str:
    """As messages show it: .spec.containers[name="main"].image."""
    return "".join(_shown_element(element) for element in path)


def in_order(path: Path) -> tuple[tuple[bool, str], ...]:
    """A sort key: in every structure the fields themselves come before what is below them."""
    last = len(path) - 1
    return tuple((depth < last, element) for depth, element in enumerate(path))


def encode_fields(paths: Iterable[Path]) -> Json:
    """As FieldsV1."""
    root: dict[str, Any] = {}
    ends: set[int] = set()
    for path in sorted(paths):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        ends.add(id(node))
    return _with_members(root, ends, is_root=True)


def decode_fields(fields: Json) -> FieldSet:
    """From FieldsV1."""
    found: set[Path] = set()
    _collect(fields or {}, (), found)
    return frozenset(found)


def _with_members(node: dict[str, Any], ends: set[int], *, is_root: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = {MEMBER: {}} if node and id(node) in ends and not is_root else {}
    for element, below in node.items():
        told[element] = _with_members(below, ends)
    return told


def _collect(node: Mapping[str, Any], path: Path, found: set[Path]) -> None:
    for element, below in node.items():
        if element == MEMBER:
            found.add(path)
        elif below:
            _collect(below, (*path, element), found)
        else:
            found.add((*path, element))


def _shown_element(element: str) -> str:
    kind, _, text = element.partition(":")
    match kind:
        case "f":
            return f".{text}"
        case "k":
            keys = json.loads(text)
            return f"[{','.join(f'{key}={_canonical(value)}' for key, value in keys.items())}]"
        case "v":
            return f"[={text}]"
        case _:
            return f"[{text}]"


def _canonical(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
