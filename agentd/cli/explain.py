"""`agentd explain`: why an event is done, or is not."""

import click

from agentd import dispatch
from agentd.cli.common import asynchronous, load_settings
from agentd.cli.output import moment, output_option, print_json, print_table
from agentd.core import system_runtime
from agentd.dispatch import Explanation
from agentd.ledger.sqlite import SqliteLedger


@click.command()
@click.argument("event")
@output_option
@click.pass_context
@asynchronous
async def explain(context: click.Context, event: str, output: str) -> None:
    """Say what became of EVENT, step by step, from the ledger.

    EVENT is an event's id, a message's id, or a subject such as project/6f0c... (then of all its events).
    """
    runtime = system_runtime()
    settings = load_settings(context).settings
    ledger = await SqliteLedger.open(
        settings.ledger, observe=lambda _operation, _result, _seconds: None, read_only=True
    )
    try:
        explanations = await dispatch.explain(ledger, event, now=runtime.now())
    finally:
        await ledger.close()
    if not explanations:
        raise click.ClickException(
            f"{event}: the ledger at {settings.ledger.path} knows no such event. It has not been received, "
            "or it ended so long ago that it was forgotten"
        )
    if output == "json":
        print_json(explanations)
    else:
        for explanation in explanations:
            show(explanation)


def show(explanation: Explanation) -> None:
    """An explanation for people."""
    record = explanation.record
    click.echo(f"{record.event_id or record.key}  {record.type or 'no event'}  {record.subject}")
    click.echo(f"  {explanation.verdict}")
    if record.objects:
        click.echo(f"  wrote to: {', '.join(record.objects)}")
    if explanation.subject is not None:
        facets = ", ".join(f"{facet} at generation {number}" for facet, number in explanation.subject.facets.items())
        deleted = (
            "" if explanation.subject.tombstone is None else f"; deleted at generation {explanation.subject.tombstone}"
        )
        click.echo(f"  subject: {facets or 'nothing claimed yet'}{deleted}")
    print_table(
        ("when", "epoch", "what", "detail"),
        [(moment(change.at), change.epoch, change.what, change.detail) for change in explanation.transitions],
    )
    click.echo()
