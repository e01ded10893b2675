"""`agentd schema`: the contract for machines."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from agentd.cli import grants, permissions
from agentd.cli.common import Unusable, load_settings
from agentd.cli.output import json_text, print_json, print_table
from agentd.core import Permission
from agentd.dispatch import load_handlers
from agentd.events.schema import asyncapi, json_schemas, write_all
from agentd.settings import Settings

NAME = "agentd"
"""Of the roles that are made, and of the service account that is given them."""
_SCOPE = "/subscriptions/ID/resourceGroups/NAME"


@click.command()
@click.argument("what", type=click.Choice(["events", "asyncapi", "permissions"]), default="events")
@click.option(
    "--write", type=click.Path(file_okay=False, path_type=Path), help="Write all schema files into this folder."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "rbac", "iam", "azure"]),
    default="table",
    show_default=True,
    help="Permissions as a table, as JSON, or ready to apply: roles of Kubernetes, a policy of AWS, a role of Azure.",
)
@click.option("--scope", help=f"Where the role of Azure may be assigned: {_SCOPE}.")
def schema(what: str, write: Path | None, output: str, scope: str | None) -> None:
    """Print the JSON Schemas of all events, the AsyncAPI document, or the permissions that the agent needs.

    Permissions are those that the handlers declare, by event, and those of the agent itself (agentd). `agentd doctor
    --only permissions` says which of them are granted. As rbac, iam or azure they are exactly what the settings in force
    need: see docs/security.md for how to apply them.
    """
    if write is not None:
        write_all(write)
        click.echo(f"written to {write}")
        return
    match what, output:
        case "events", "table" | "json":
            print_json(json_schemas())
        case "asyncapi", "table" | "json":
            print_json(asyncapi())
        case "permissions", "table" | "json":
            _permissions(output)
        case "permissions", _:
            click.echo(_granted(output, scope), nl=False)
        case _:
            raise click.UsageError(f"-o {output} is for permissions alone")


def rbac_text(settings: Settings, needed: Sequence[Permission]) -> str:
    """Roles and their bindings, as YAML documents. Raises Unusable."""
    documents = grants.grants(needed, name=NAME, account=NAME, namespace=settings.cluster.system_namespace)
    if not documents:
        raise Unusable("cluster.access: found 'none': an installation without a cluster needs no rights in one")
    return grants.yaml_text(documents)


def iam_text(settings: Settings, needed: Sequence[Permission]) -> str:
    """A policy, as JSON. Raises Unusable."""
    try:
        return json_text(grants.policy(needed, settings))
    except grants.NoArn as error:
        raise Unusable(str(error)) from error


def azure_text(needed: Sequence[Permission], scope: str | None) -> str:
    """A role definition, as JSON. Raises Unusable."""
    if scope is None:
        raise Unusable(f"--scope is missing: where the role may be assigned, such as {_SCOPE}")
    definition = grants.role_definition(needed, name=NAME, scope=scope)
    if not definition["Actions"] and not definition["DataActions"]:
        raise Unusable("commands.queue_url, reports_queue_url, ledger.kind: none of them is of Azure")
    return json_text(definition)


def _granted(output: str, scope: str | None) -> str:
    settings = load_settings(click.get_current_context()).settings
    needed = [need.permission for need in permissions.needs(settings, load_handlers())]
    texts: Mapping[str, Callable[[], str]] = {
        "rbac": lambda: rbac_text(settings, needed),
        "iam": lambda: iam_text(settings, needed),
        "azure": lambda: azure_text(needed, scope),
    }
    return texts[output]()


def _permissions(output: str) -> None:
    rows = [
        (
            need.event,
            need.permission.service,
            need.permission.action,
            need.permission.resource,
            need.permission.namespace,
        )
        for need in _needs()
    ]
    columns = ("event", "service", "action", "resource", "namespace")
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
