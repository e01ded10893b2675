"""`agentd schema`: the contract for machines."""

from pathlib import Path

import click

from agentd.cli.common import Unusable, load_settings
from agentd.cli.output import output_option, print_json, print_table
from agentd.dispatch import load_handlers
from agentd.events.schema import asyncapi, json_schemas, write_all
from agentd.platform.config import RegistryConfig


@click.command()
@click.argument("what", type=click.Choice(["events", "asyncapi", "permissions"]), default="events")
@click.option(
    "--write", type=click.Path(file_okay=False, path_type=Path), help="Write all schema files into this folder."
)
@output_option
def schema(what: str, write: Path | None, output: str) -> None:
    """Print the JSON Schemas of all events, the AsyncAPI document, or the permissions that the handlers need."""
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
    registry = _registry()
    needed = [
        (event_type, permission.service, permission.action, permission.resource.format(registry=registry))
        for event_type, handler in sorted(load_handlers().items())
        for permission in sorted(handler.permissions)
        if registry.kms_key is not None or "{registry.kms_key}" not in permission.resource
    ]
    columns = ("event", "service", "action", "resource")
    if output == "json":
        print_json([dict(zip(columns, row, strict=True)) for row in needed])
    else:
        print_table(columns, needed)


def _registry() -> RegistryConfig:
    """The registry's settings in force; their defaults where the rest is not set up yet."""
    try:
        return load_settings(click.get_current_context()).settings.registry
    except Unusable:
        return RegistryConfig()
