"""`agentd dlq`: dead letters, looked at and sent back."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import click

from agentd.app.queues import dead_letters_url
from agentd.app.stopping import ExitCode
from agentd.bus import DeadLetterEntry, DeadLetters, Queue, queue_for
from agentd.cli.common import asynchronous, fail, load_settings
from agentd.cli.output import moment, output_option, print_json, print_table
from agentd.cli.stack import open_queues
from agentd.core import Reason, system_runtime
from agentd.settings import Settings


@click.group()
def dlq() -> None:
    """Look at dead letters, and send them back once their cause is mended."""


@dlq.command("list")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many to show at most."
)
@output_option
@click.pass_context
@asynchronous
async def list_(context: click.Context, limit: int, output: str) -> None:
    """List dead letters with the reason why they are there."""
    async with _dead_letters(load_settings(context).settings) as dead_letters:
        entries = await dead_letters.list(limit)
    if output == "json":
        print_json(entries)
    else:
        _table(entries)


@dlq.command()
@click.argument("name")
@output_option
@click.pass_context
@asynchronous
async def show(context: click.Context, name: str, output: str) -> None:
    """Show one dead letter whole. NAME is its event's id or a message id."""
    async with _dead_letters(load_settings(context).settings) as dead_letters:
        entry = await dead_letters.show(name)
    if entry is None:
        raise click.ClickException(f"{name}: no dead letter has this event id or message id")
    if output == "json":
        print_json(entry)
        return
    _table([entry])
    for reason in Reason:
        if reason.value == entry.reason:
            click.echo(f"\n{entry.message}\n{reason.help}")
    click.echo(f"\n{entry.body}")


@dlq.command()
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Redrive every dead letter.")
@click.option("--reason", type=click.Choice([reason.value for reason in Reason]), help="Only those with this reason.")
@click.option("--rate", type=click.FloatRange(0.1, 1000), default=10.0, show_default=True, help="How many a second.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="How many at most.")
@output_option
@click.pass_context
@asynchronous
async def redrive(
    context: click.Context,
    *,
    names: tuple[str, ...],
    everything: bool,
    reason: str | None,
    rate: float,
    limit: int,
    output: str,
) -> None:
    """Send dead letters back to the commands queue. NAMES are event ids or message ids.

    Each redriven event gets a new epoch: fresh attempts, and a report of its own.
    """
    if not (names or everything or reason):
        raise click.UsageError("say which: NAMES, --reason, or --all")

    def selected(entry: DeadLetterEntry) -> bool:
        named = not names or any(entry.named(name) for name in names)
        return named and (reason is None or entry.reason == reason)

    async with _dead_letters(load_settings(context).settings) as dead_letters:
        result = await dead_letters.redrive(selected, rate_per_s=rate, limit=limit)
    missing = [name for name in names if not any(entry.named(name) for entry in result.redriven)]
    if output == "json":
        print_json({"redriven": result.redriven, "failed": result.failed, "missing": missing})
    else:
        click.echo(f"{len(result.redriven)} redriven, of {result.looked_at} looked at")
        for message_id, why in result.failed:
            click.echo(f"not redriven: {message_id}: {why}", err=True)
        for name in missing:
            click.echo(f"not there: {name}", err=True)
    if result.failed or missing:
        fail(ExitCode.FAILED)


@asynccontextmanager
async def _dead_letters(settings: Settings) -> AsyncIterator[DeadLetters]:
    runtime = system_runtime()

    def queue(url: str, name: str) -> Queue:
        return queue_for(url, name=name, aws=settings.aws, azure=settings.azure, runtime=runtime)

    commands = queue(settings.commands.queue_url, "commands")
    async with open_queues(commands):
        letters = queue(dead_letters_url(settings, commands), "dead-letters")
        async with open_queues(letters):
            yield DeadLetters(letters, commands, runtime)


def _table(entries: Sequence[DeadLetterEntry]) -> None:
    print_table(
        ("event", "epoch", "outcome", "reason", "message", "dead-lettered"),
        [
            (
                (entry.key or entry.message_id).removeprefix("event/"),
                entry.epoch,
                entry.outcome,
                entry.reason or "moved by the queue",
                entry.message,
                entry.dead_lettered_at or moment(entry.sent_at),
            )
            for entry in entries
        ],
    )
