"""`agentd config`: the settings in force, and where each came from."""

import click

from agentd.cli.common import load_settings
from agentd.cli.output import output_option, print_json, print_table
from agentd.settings import effective


@click.command()
@output_option
@click.pass_context
def config(context: click.Context, output: str) -> None:
    """Show every setting in force, redacted, with where its value came from."""
    rows = effective(load_settings(context))
    if output == "json":
        print_json([{"setting": row.key, "value": row.value, "origin": row.origin} for row in rows])
    else:
        print_table(("setting", "value", "origin"), [(row.key, row.value, row.origin) for row in rows])
