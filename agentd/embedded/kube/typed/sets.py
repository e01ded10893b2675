"""Which fields a value sets."""

from agentd.embedded.kube.objects import Json
from agentd.embedded.kube.schema import Form, Type
from agentd.embedded.kube.typed.paths import (
    FieldSet,
    Path,
    child_type,
    element_type,
    field_element,
    item_element,
    resolved,
)


def field_set(kind: Type, value: Json) -> FieldSet:
    """The leaves of the value, its list items and map entries, and whatever it holds empty or null."""
    found: set[Path] = set()
    _walk(kind, value, (), found)
    return frozenset(found)


def with_named_fields(kind: Type, paths: FieldSet) -> FieldSet:
    """The set, and every declared field on the way to one of its members."""
    found = set(paths)
    for path in paths:
        here = kind
        for depth, element in enumerate(path[:-1], start=1):
            sort, _, text = element.partition(":")
            if sort == "f":
                if text in here.fields:
                    found.add(path[:depth])
                here = child_type(here, text)
            else:
                here = element_type(here)
    return frozenset(found)


def _walk(kind: Type, value: Json, path: Path, found: set[Path]) -> None:
    kind = resolved(kind, value)
    if kind.form is Form.SCALAR or kind.atomic:
        found.add(path)
    elif kind.form is Form.LIST:
        _walk_list(kind, value or [], path, found)
    else:
        for name, item in (value or {}).items():
            below = (*path, field_element(name))
            _walk(child_type(kind, name), item, below, found)
            if item is None or item == {} or name not in kind.fields:
                found.add(below)


def _walk_list(kind: Type, items: Json, path: Path, found: set[Path]) -> None:
    elements = [item_element(kind, item) for item in items]
    for element, item in zip(elements, items, strict=True):
        below = (*path, element)
        if elements.count(element) == 1:
            _walk(element_type(kind), item, below, found)
        found.add(below)
