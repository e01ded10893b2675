"""`agentd status`: what a running daemon is doing."""

import json
from typing import Any

import aiohttp
import click

from agentd.cli.common import asynchronous, load_settings
from agentd.cli.output import output_option, print_json, print_table

_TIMEOUT_S = 10.0

Json = dict[str, Any]  # the daemon's own /status document


@click.command()
@click.option("--url", help="Where the daemon's HTTP pages are; from the settings when not given.")
@output_option
@click.pass_context
@asynchronous
async def status(context: click.Context, url: str | None, output: str) -> None:
    """Show what a running daemon holds, runs and waits for."""
    if url is None:
        telemetry = load_settings(context).settings.telemetry
        host = "127.0.0.1" if telemetry.http_host in ("0.0.0.0", "::") else telemetry.http_host  # noqa: S104 - compared
        url = f"http://{host}:{telemetry.http_port}"
    document = await _fetch(url)
    if output == "json":
        print_json(document)
        return
    show(document)


async def _fetch(url: str) -> Json:
    try:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(f"{url}/status") as answer:
            document: Json = json.loads(await answer.text())
            return document
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        detail = f"{type(error).__name__}: {error}"
        raise click.ClickException(f"no daemon answers at {url}/status ({detail}); is it running?") from error


def show(document: Json) -> None:
    """The status for people."""
    for name in ("version", "replica", "draining", "intake_paused"):
        click.echo(f"{name:15} {document.get(name)}")
    for warning in document.get("warnings", ()):
        click.echo(f"{'warning':15} {warning}")
    held = ", ".join(f"{number} {phase}" for phase, number in document.get("held", {}).items())
    click.echo(f"{'held':15} {held}")
    for state, work in document.get("oldest_work", {}).items():
        if work is not None:
            click.echo(f"{f'oldest {state}':15} {', '.join(f'{name} {value}' for name, value in work.items())}")
    ledger = ", ".join(f"{number} {kind}" for kind, number in document.get("ledger", {}).items())
    click.echo(f"{'ledger':15} {ledger}")
    print_table(
        ("event", "type", "subject", "generation", "step", "running s"),
        [
            (work["event_id"], work["type"], work["subject"], work["generation"], work["step"], work["running_s"])
            for work in document.get("work", [])
        ],
    )
    print_table(
        ("loop", "progress age s", "success age s", "late", "doing"),
        [
            (loop["loop"], loop["progress_age_s"], loop["success_age_s"], loop["late"], loop["doing"])
            for loop in document.get("loops", [])
        ],
    )
