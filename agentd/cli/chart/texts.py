"""The chart's files that follow from the code."""

import inspect
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agentd.cli.chart.schema import values_schema
from agentd.cli.chart.values import Group, Values
from agentd.cli.grants import everywhere_of, inside_of, rules
from agentd.cli.output import json_text
from agentd.cli.permissions import default_groups, of_handlers, of_proxy, of_states
from agentd.core import Handler

_WIDTH = 118
_MADE = "Made from agentd/cli/chart by `make generate`."
_README = """# The agent's Helm chart

Installs `agentd` on a cluster. How to: [docs/operations.md](../../../docs/operations.md#install-with-the-chart).
A value that is unknown, or could not work, is refused by `values.schema.json` before anything is installed.
"""


def values_text() -> str:
    """values.yaml: every value with its default, and what it means."""
    return f"# {_MADE} README.md has the same as a table.\n\n" + "\n".join(_lines(Values, ""))


def schema_text() -> str:
    """values.schema.json."""
    return json_text(values_schema())


def reference_text() -> str:
    """README.md, with a table of all values."""
    rows = [f"| `{key}` | {default} | {meaning} |" for key, default, meaning in _rows(Values, "")]
    table = "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])
    return f"{_README}\n{_MADE}\n\n{table}\n"


def rights_text(handlers: Mapping[str, Handler]) -> str:
    """files/rights.json: the rules of the agent's roles, of its handlers, its proxy and its watchers of states."""
    needed = [need.permission for need in of_handlers(handlers, default_groups())]
    in_cluster = [permission for permission in needed if permission.service == "kubernetes"]
    inside = [permission for found in inside_of(in_cluster).values() for permission in found]
    proxy = {need.permission for need in of_proxy()}
    states = {need.permission for need in of_states()}
    return json_text(
        {
            "handlers": {"cluster": rules(everywhere_of(in_cluster)), "namespace": rules(inside)},
            "proxy": {"cluster": rules(proxy - set(in_cluster))},
            "states": {"cluster": rules(states - set(in_cluster))},
        }
    )


def _lines(model: type[BaseModel], indent: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key, group = field.alias or name, _group(field)
        yield from _comment(_meaning(field, group), indent)
        if group is None:
            yield f"{indent}{key}: {_default(field)}"
        else:
            yield f"{indent}{key}:"
            yield from _lines(group, f"{indent}  ")
        if not indent:
            yield ""


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        key, group = f"{prefix}{field.alias or name}", _group(field)
        if group is None:
            yield key, f"`{_default(field)}`", _meaning(field, None).replace("|", "\\|")
        else:
            yield key, "", _meaning(field, group)
            yield from _rows(group, f"{key}.")


def _comment(text: str, indent: str) -> Iterable[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _meaning(field: FieldInfo, group: type[Group] | None) -> str:
    found = field.description or (inspect.getdoc(group) if group else None) or ""
    return " ".join(found.split())


def _group(field: FieldInfo) -> type[Group] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Group) else None


def _default(field: FieldInfo) -> str:
    default: Any = field.get_default()
    return json.dumps(list(default) if isinstance(default, tuple) else default)
