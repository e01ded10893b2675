"""`agentd plan`: what an event would change."""

from contextlib import AsyncExitStack
from typing import IO

import click

from agentd.app.plans import planner_of
from agentd.app.platform import Platform, open_platform
from agentd.cli.common import Unusable, asynchronous, load_settings
from agentd.cli.ledger import opened_ledger
from agentd.cli.output import output_option, print_json
from agentd.cli.plans import plan_lines
from agentd.core import Plan, system_runtime
from agentd.dispatch import load_handlers, plan_event
from agentd.events import Audience, Event, Malformed, attach, decode
from agentd.settings import Settings
from agentd.telemetry import Metrics


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@output_option
@click.pass_context
@asynchronous
async def plan(context: click.Context, *, file: IO[str], output: str) -> None:
    """Say what the CloudEvent in FILE (- for standard input) would change in cluster, registry and identities.

    Nothing is written, claimed or sent. The plan is of this moment: send the event with its hash as `planhash`, and it is
    refused if it would change anything else by then. An event with `"plan": true` in its data asks the daemon for the same.
    """
    try:
        event = decode(file.read())
    except Malformed as error:
        raise Unusable(f"{file.name}: {error.message}") from error
    made = (await _planned(load_settings(context).settings, event)).json()
    if output == "json":
        print_json(made)
        return
    for line in plan_lines(made):
        click.echo(line)


async def _planned(settings: Settings, event: Event) -> Plan:
    runtime = system_runtime()
    async with AsyncExitStack() as stack:
        platform = await open_platform(stack, settings, runtime, Metrics())
        ledger = await stack.enter_async_context(opened_ledger(settings, read_only=True))
        return await plan_event(
            await _whole(event, platform, settings),
            planner_of(platform, settings.owner_id, settings.dispatch, runtime),
            handlers=load_handlers(),
            audience=Audience(settings.tenant_id, settings.cluster_id),
            ledger=ledger,
        )


async def _whole(event: Event, platform: Platform, settings: Settings) -> Event:
    """The event with its data, which may be in the artifact store."""
    ref = event.envelope.claim_check
    if ref is None:
        return event
    if platform.artifacts is None:
        raise Unusable("dataref: no artifact store is set up")
    return attach(event, await platform.artifacts.fetch(ref.uri, limit_bytes=settings.dispatch.claim_check_max_bytes))
