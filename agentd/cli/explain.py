"""`agentd explain`: why an event is done, or is not."""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack

import click

from agentd.app.accounts import origin_of
from agentd.app.names import Named, name
from agentd.app.platform import open_cluster
from agentd.bus.sqs_calls import new_session
from agentd.cli.common import Unusable, asynchronous, load_settings
from agentd.cli.ledger import opened_ledger
from agentd.cli.output import moment, output_option, plain, print_json, print_table
from agentd.core import system_runtime
from agentd.dispatch import Answer, Explanation
from agentd.ledger import Record, SubjectState
from agentd.platform.aws.session import AwsSession
from agentd.platform.origin import Origin, object_of
from agentd.settings import Settings
from agentd.telemetry import Metrics, redact_value

_MOST_DESIRED = 160  # characters of what is desired of a facet; `-o json` has all of it
_MOST_VERDICT = 120


@click.command()
@click.argument("what", metavar="EVENT|SUBJECT|OBJECT")
@output_option
@click.pass_context
@asynchronous
async def explain(context: click.Context, what: str, output: str) -> None:
    """Say what became of EVENT, step by step, from the ledger: why it is done or is not, and what would let it go on.

    EVENT is an event's id or a message's id. For a SUBJECT such as project/6f0c... it is what is desired of it, who
    works on it, and all of its events, the newest first. An OBJECT of the cluster, such as pod/dev/web-1, deployment/dev/web
    or namespace/dev, leads back to the event that made the last change of it, by its owners and its marks.
    """
    settings = load_settings(context).settings
    named = await _named(settings, what)
    answer = named.answer
    if output == "json" and (answer.events or answer.subjects or named.origin):
        print_json({**plain(answer), "origin": named.origin and origin_of(named.origin)})
        return
    if named.origin is not None:
        _show_origin(named.origin)
    elif object_of(what) is not None:
        raise click.ClickException(f"{what}: the cluster has no such object")
    _show_answer(named, settings.ledger.place)


async def _named(settings: Settings, what: str) -> Named:
    runtime = system_runtime()
    async with AsyncExitStack() as stack:
        cluster = None
        if object_of(what) is not None:
            session = await stack.enter_async_context(AwsSession(settings.aws, new_session(settings.aws.profile)))
            cluster = await open_cluster(stack, session, settings, runtime, Metrics())
            if cluster is None:
                raise Unusable(f"{what}: cluster.access is none, so there is no cluster to look into")
        ledger = await stack.enter_async_context(opened_ledger(settings, read_only=True))
        return await name(what, ledger=ledger, cluster=cluster, owner_id=settings.owner_id, now=runtime.now())


def _show_answer(named: Named, place: str) -> None:
    answer = named.answer
    for notice in answer.notices:
        click.echo(f"{notice.message}\n  {notice.hold.help}\n")
    if not answer.events and not answer.subjects:
        raise click.ClickException(
            f"{named.text}: the ledger {place} knows no such event. It has not been received, waits in the "
            "queue behind another event of its subject, or ended so long ago that it was forgotten"
        )
    show(named.text, answer, now=system_runtime().now())


def _show_origin(origin: Origin) -> None:
    first, *above = origin.path
    click.echo(str(first))
    for ref in above:
        click.echo(f"  of {ref}")
    if origin.event_id is None:
        raise click.ClickException(f"{origin.path[-1]} is not the agent's own; no event of it is known")
    click.echo(f"  of {origin.subject}, generation {origin.generation}")
    click.echo(f"  last changed by event {origin.event_id}{f', trace {origin.trace_id}' if origin.trace_id else ''}\n")


def show(text: str, answer: Answer, *, now: float) -> None:
    """An answer for people: of a subject an overview, of an event its whole story."""
    asked = [subject for subject in answer.subjects if subject.subject == text]
    for subject in asked or answer.subjects:
        show_subject(subject, now=now, briefly=not asked)
    if asked:
        _show_events(answer.events)
    else:
        for explanation in answer.events:
            show_event(explanation)


def show_subject(subject: SubjectState, *, now: float, briefly: bool) -> None:
    """What is desired of a subject, and who works on it."""
    click.echo(f"{subject.subject}  {_held(subject, now)}{_deleted(subject)}")
    if briefly:
        return
    if subject.names:
        click.echo(f"  names: {', '.join(f'{kind} {name}' for kind, name in subject.names)}")
    facets = [
        (facet, generation, _desired(facet, subject.desired.get(facet))) for facet, generation in subject.facets.items()
    ]
    if facets:
        print_table(("facet", "generation", "desired"), facets)
    else:
        click.echo("  no event of it has been taken up yet")


def show_event(explanation: Explanation) -> None:
    """An event's story."""
    record = explanation.record
    generation = "" if record.generation is None else f"  generation {record.generation}"
    click.echo(f"{record.event_id or record.key}  {record.type or 'no event'}  {record.subject}{generation}")
    click.echo(f"  {explanation.verdict}")
    if explanation.unblock:
        click.echo(f"  to go on: {explanation.unblock}")
    click.echo(f"  {_times(record)}")
    if explanation.trace_id:
        click.echo(f"  trace: {explanation.trace_id}")
    if explanation.steps:
        click.echo(f"  steps done: {', '.join(step.step for step in explanation.steps)}")
    if record.objects:
        click.echo(f"  wrote to: {', '.join(record.objects)}")
    print_table(
        ("when", "epoch", "what", "detail"),
        [(moment(change.at), change.epoch, change.what, change.detail) for change in explanation.transitions],
    )
    click.echo()


def _show_events(events: Sequence[Explanation]) -> None:
    print_table(
        ("admitted", "type", "generation", "event", "stands"),
        [
            (
                moment(event.record.admitted_at),
                event.record.type,
                event.record.generation,
                event.record.event_id,
                _cut(event.verdict, _MOST_VERDICT),
            )
            for event in events
        ],
        title="\nits events, the newest first; `agentd explain EVENT` tells the whole story of one",
    )


def _held(subject: SubjectState, now: float) -> str:
    held = subject.held_by
    if held is None or held.until <= now:
        return "nobody works on it"
    return f"replica {held.by_replica} works on it, for {held.by_key}"


def _deleted(subject: SubjectState) -> str:
    return "" if subject.tombstone is None else f"; deleted at generation {subject.tombstone}"


def _desired(facet: str, desired: object) -> str:
    if desired is None:
        return "nothing"
    return _cut(json.dumps(redact_value(facet, desired), ensure_ascii=False), _MOST_DESIRED)


def _times(record: Record) -> str:
    parts = [f"admitted {moment(record.admitted_at)}"]
    if record.started_at is not None:
        parts.append(f"begun {moment(record.started_at)}")
    if record.finished_at is not None:
        parts.append(f"ended {moment(record.finished_at)}")
    elif record.expires_at is not None:
        parts.append(f"waits until {moment(record.expires_at)} at most")
    if record.epoch > 1:
        parts.append(f"redriven {record.epoch - 1} times")
    return ", ".join(parts)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
