"""`agentd schema`: the contract for machines."""

from pathlib import Path

import click

from agentd.cli import permissions
from agentd.cli.common import Unusable, load_settings
from agentd.cli.output import output_option, print_json, print_table
from agentd.dispatch import load_handlers
from agentd.events.schema import asyncapi, json_schemas, write_all


@click.command()
@click.argument("what", type=click.Choice(["events", "asyncapi", "permissions"]), default="events")
@click.option(
    "--write", type=click.Path(file_okay=False, path_type=Path), help="Write all schema files into this folder."
)
@output_option
def schema(what: str, write: Path | None, output: str) -> None:
    """Print the JSON Schemas of all events, the AsyncAPI document, or the permissions that the agent needs.

    Permissions are those that the handlers declare, by event, and those of the agent itself (agentd). `agentd doctor
    --only permissions` says which of them are granted.
    """
    if write is not None:
        write_all(write)
        click.echo(f"written to {write}")
        return
    match what:
        case "events":
            print_json(json_schemas())
        case "asyncapi":
            print_json(asyncapi())
        case _:
            _permissions(output)


def _permissions(output: str) -> None:
    rows = [
        (need.event, need.permission.service, need.permission.action, need.permission.resource) for need in _needs()
    ]
    columns = ("event", "service", "action", "resource")
    if output == "json":
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


def _needs() -> tuple[permissions.Need, ...]:
    """With the settings in force; with their defaults, and the handlers alone, where the rest is not set up yet."""
    handlers = load_handlers()
    try:
        settings = load_settings(click.get_current_context()).settings
    except Unusable:
        return permissions.of_handlers(handlers, permissions.default_groups())
    return permissions.needs(settings, handlers)
