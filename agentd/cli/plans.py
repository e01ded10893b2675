"""A plan for people: what would be created, changed and deleted, as a reader likes a diff. Pure."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from agentd.core import Action

Json = Any  # a plan's report, and the values of objects' own APIs

_SIGNS = {Action.CREATE: "+", Action.CHANGE: "~", Action.DELETE: "-"}
_ABSENT = "(none)"
# What fits beside its place in a line that is still read as one.
_MOST = 100


def plan_lines(plan: Mapping[str, Json]) -> list[str]:
    """The lines of a plan as reports carry it: each object with its fields, then how much there is to do, and the hash.

    A new field is told by its value, a changed one by both; values that are long stand on lines of their own.
    """
    changes = plan["changes"]
    lines = [line for change in changes for line in change_lines(change)]
    if lines:
        lines.append("")
    counts = Counter(Action(change["action"]) for change in changes)
    told = ", ".join(f"{counts[action]} to {action.value}" for action in Action if counts[action])
    return [*lines, told or "nothing to do", plan["hash"]]


def change_lines(change: Mapping[str, Json]) -> Iterator[str]:
    """The lines of one object."""
    action = Action(change["action"])
    yield f"{_SIGNS[action]} {action.value} {change['object']}"
    for field in change["fields"]:
        yield from field_lines(field, new=action is Action.CREATE)


def field_lines(field: Mapping[str, Json], *, new: bool = False) -> Iterator[str]:
    """The lines of one field."""
    path, before, after = field["path"], _value(field["before"]), _value(field["after"])
    if new:
        yield f"    {path}: {after}"
    elif len(before) + len(after) <= _MOST:
        yield f"    {path}: {before} -> {after}"
    else:
        yield f"    {path}:"
        yield f"      - {before}"
        yield f"      + {after}"


def _value(value: Json) -> str:
    """As JSON, in which a text cannot be taken for a number, nor end the line."""
    if value is None:
        return _ABSENT
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)
