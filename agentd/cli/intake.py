"""`agentd intake`: the brake for all replicas."""

import click

from agentd.cli.common import asynchronous, load_settings
from agentd.cli.ledger import opened_ledger
from agentd.cli.output import moment, output_option, print_json
from agentd.core import system_runtime
from agentd.dispatch.policy import intake as brake


@click.group()
def intake() -> None:
    """Stop taking events in, on all replicas, and begin again."""


@intake.command()
@click.option("--by", required=True, metavar="NAME", help="Who says so.")
@click.option("--why", required=True, metavar="TEXT", help="Why, for everybody who wonders.")
@click.pass_context
@asynchronous
async def pause(context: click.Context, by: str, why: str) -> None:
    """Take nothing in from now on. What runs goes on; what comes waits in the queue. Replicas hear of it within seconds."""
    async with opened_ledger(load_settings(context).settings) as ledger:
        await brake.pause(ledger, system_runtime(), by=by, why=why)
    click.echo("intake is paused; go on with: agentd intake resume")


@intake.command()
@click.pass_context
@asynchronous
async def resume(context: click.Context) -> None:
    """Take events in again."""
    async with opened_ledger(load_settings(context).settings) as ledger:
        pause = await brake.resume(ledger, system_runtime())
    click.echo("intake was not paused" if pause is None else f"intake goes on; it was paused at {moment(pause.at)}")


@intake.command()
@output_option
@click.pass_context
@asynchronous
async def show(context: click.Context, output: str) -> None:
    """Say whether events are taken in, and if not, who has stopped it and why."""
    async with opened_ledger(load_settings(context).settings, read_only=True) as ledger:
        pause = await brake.paused(ledger)
    if output == "json":
        print_json({"paused": pause is not None, "pause": pause})
    elif pause is None:
        click.echo("events are taken in")
    else:
        click.echo(f"paused by {pause.by} at {moment(pause.at)}: {pause.why}")
