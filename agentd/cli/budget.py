"""`agentd budget`: how much may be destroyed before somebody has to look."""

import click

from agentd.cli.common import asynchronous, load_settings
from agentd.cli.ledger import opened_ledger
from agentd.cli.output import moment, output_option, print_json
from agentd.core import system_runtime
from agentd.dispatch.policy import BudgetConfig, BudgetState
from agentd.dispatch.policy import budget as spending
from agentd.dispatch.policy.counting import MOST_COUNTED


@click.group()
def budget() -> None:
    """See how much may still be destroyed, and let it go on once you have looked."""


@budget.command()
@output_option
@click.pass_context
@asynchronous
async def show(context: click.Context, output: str) -> None:
    """Say how many destructive steps may be done now, and whether they are stopped."""
    settings = load_settings(context).settings
    async with opened_ledger(settings, read_only=True) as ledger:
        state = await spending.state_of(ledger)
    left = _left(settings.budget, state)
    if output == "json":
        print_json({"left": left, "stopped_at": state.stopped_at, "released": state.released})
    elif left is None:
        click.echo("budget.destructive_steps is not set: there is no limit")
    elif state.stopped_at is not None:
        click.echo(
            f"stopped at {moment(state.stopped_at)}; look what was deleted, then: agentd budget release --by NAME"
        )
    else:
        limit = f"{settings.budget.destructive_steps} within {settings.budget.window_s:g} s"
        click.echo(f"destructive steps left: {left}; the limit is {limit}")


@budget.command()
@click.option("--by", required=True, metavar="NAME", help="Who has looked.")
@click.option(
    "--steps",
    type=click.IntRange(1, MOST_COUNTED),
    help="Let so many be done before it stops again; else the usual number.",
)
@click.pass_context
@asynchronous
async def release(context: click.Context, by: str, steps: int | None) -> None:
    """Let destructive steps go on: counting begins anew."""
    async with opened_ledger(load_settings(context).settings) as ledger:
        before = await spending.release(ledger, system_runtime(), by=by, steps=steps)
    click.echo(
        "they were not stopped; counting begins anew" if before.stopped_at is None else "destructive steps go on"
    )


def _left(config: BudgetConfig, state: BudgetState) -> int | None:
    if config.destructive_steps is None:
        return None
    return state.left(config.destructive_steps, config.window_s, system_runtime().now())
