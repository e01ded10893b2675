"""Merging one value into another, and taking fields out of one."""

from agentd.embedded.kube.objects import Json, clone
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


def merge(kind: Type, live: Json, config: Json) -> Json:
    """The live value with everything that the other sets. Items of associative lists merge by identity."""
    if config is ABSENT:
        return clone(live)
    if live is ABSENT:
        return clone(config)
    kind = resolved(kind, config, live)
    if kind.form is Form.SCALAR or kind.atomic or (not live and not config) or not _mergeable(kind, live, config):
        return clone(config)
    if kind.form is Form.LIST:
        return _merged_lists(kind, live or [], config or [])
    left, right = live or {}, config or {}
    return {
        name: merge(child_type(kind, name), left.get(name, ABSENT), right.get(name, ABSENT))
        for name in {**left, **right}
    }


def without(kind: Type, value: Json, paths: FieldSet) -> Json:
    """The value without the fields, items and entries of the set. What becomes empty so is null."""
    kind = resolved(kind, value)
    if not value or not paths or kind.form is Form.SCALAR or kind.atomic:
        return value
    whole, below = _by_head(paths)
    if kind.form is Form.LIST:
        items = ((item_element(kind, item), item) for item in value)
        kept = [
            without(element_type(kind), item, frozenset(below.get(element, ())))
            for element, item in items
            if element not in whole
        ]
        return kept or None
    left = {
        name: without(child_type(kind, name), item, frozenset(below.get(field_element(name), ())))
        for name, item in value.items()
        if field_element(name) not in whole
    }
    return left or None


def _by_head(paths: FieldSet) -> tuple[set[str], dict[str, list[Path]]]:
    whole: set[str] = set()
    below: dict[str, list[Path]] = {}
    for path in paths:
        if len(path) == 1:
            whole.add(path[0])
        elif path:
            below.setdefault(path[0], []).append(path[1:])
    return whole, below


def _mergeable(kind: Type, live: Json, config: Json) -> bool:
    wanted = list if kind.form is Form.LIST else dict
    return all(value is None or isinstance(value, wanted) for value in (live, config))


def _merged_lists(kind: Type, live: list[Json], config: list[Json]) -> list[Json]:
    """Live items keep their places; what both have comes in the order of the config, and new ones follow their neighbours."""
    old = {item_element(kind, item): item for item in live}
    new = {item_element(kind, item): item for item in config}
    order: list[str] = []
    live_order, config_order = list(old), list(new)
    while live_order or config_order:
        head = live_order[0] if live_order else None
        if head is not None and head not in new:
            order.append(live_order.pop(0))
        elif head is not None and config_order and config_order[0] != head and config_order[0] in old:
            order.append(config_order[0])  # both have it, and the config wants it first
            live_order.remove(config_order.pop(0))
        elif config_order:
            chosen = config_order.pop(0)
            order.append(chosen)
            if chosen == head:
                live_order.pop(0)
        else:
            live_order.pop(0)
    return [merge(element_type(kind), old.get(element, ABSENT), new.get(element, ABSENT)) for element in order]
