"""Tables for people, JSON for machines."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import click
from rich.console import Console
from rich.table import Table

Json = Any  # anything that a command prints

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or JSON for machines.",
)


def json_text(value: Json) -> str:
    """One JSON document, with the end of its last line."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n"


def print_json(value: Json) -> None:
    """One JSON document on standard output."""
    click.echo(json_text(value), nl=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> None:
    """A table as wide as the terminal; wide enough for every cell when the output is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=240)
    table = Table(*columns, title=title, title_justify="left", show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    console.print(table)


def cell(value: object) -> str:
    """What stands in a table for a value."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3g}"
        case Enum():
            return str(value.value)
        case _:
            return str(value)


def moment(seconds: float | None) -> str:
    """A time as RFC 3339, in UTC."""
    return "-" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def plain(value: Json) -> Json:
    """The value in JSON's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    match value:
        case Enum():
            return value.value
        case Mapping():
            return {str(name): plain(item) for name, item in value.items()}
        case str() | int() | float() | bool() | None:
            return value
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return str(value)
