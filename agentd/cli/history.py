"""`agentd history`: what has been desired of a subject, and when."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from agentd.app.platform import artifact_store
from agentd.bus.sqs_calls import new_session
from agentd.cli.common import Unusable, asynchronous, load_settings
from agentd.cli.ledger import opened_ledger
from agentd.cli.output import moment, output_option, print_json, print_table
from agentd.cli.plans import field_lines
from agentd.core import FieldChange, PermanentError, Reason, Subject, differences, system_runtime
from agentd.dispatch import History, Version, history_of, load_handlers
from agentd.events import Event, attach
from agentd.platform.aws.session import AwsSession
from agentd.settings import Settings
from agentd.telemetry import Metrics, redact_value

Json = Any  # what is desired of a facet

_MOMENT = "a time (RFC 3339), `now`, or the generation that was claimed then"
_MOST_PATHS = 3


@click.command()
@click.argument("subject")
@click.option("--at", metavar="MOMENT", help=f"What was desired then: {_MOMENT}.")
@click.option("--diff", nargs=2, metavar="MOMENT MOMENT", help="What was desired at one moment and not at the other.")
@output_option
@click.pass_context
@asynchronous
async def history(
    context: click.Context, *, subject: str, at: str | None, diff: tuple[str, str] | None, output: str
) -> None:
    """Say what has been desired of SUBJECT (such as environment/6f0c...), and which event has made it so.

    It is told from the events that the ledger keeps (`ledger.retention_s`). What was desired before the oldest of them, and has
    changed since, is not known any more.
    """
    if at is not None and diff is not None:
        raise Unusable("--at and --diff ask for different things: give one")
    found = await _history(load_settings(context).settings, _subject(subject))
    if diff is not None:
        _show_diff(found, *diff, output=output)
    elif at is not None:
        _show_desired(found, at, output=output)
    elif output == "json":
        print_json(found)
    else:
        _show_versions(found)


def _subject(text: str) -> Subject:
    try:
        return Subject.parse(text)
    except ValueError as error:
        raise Unusable(f"{text}: {error}") from error


async def _history(settings: Settings, subject: Subject) -> History:
    async def fetch(event: Event) -> Event:
        return await _whole(settings, event)

    async with opened_ledger(settings, read_only=True) as ledger:
        found = await history_of(subject, ledger, load_handlers(), fetch)
    if found is None:
        raise click.ClickException(f"{subject}: the ledger {settings.ledger.place} knows no such subject")
    return found


async def _whole(settings: Settings, event: Event) -> Event:
    """The event with its data, which may be in the artifact store."""
    ref = event.envelope.claim_check
    if ref is None:
        return event
    async with AwsSession(settings.aws, new_session(settings.aws.profile)) as session:
        store = await artifact_store(settings, session, Metrics(), system_runtime())
        if store is None:
            raise PermanentError(Reason.DATA_UNAVAILABLE, "no artifact store is set up")
        return attach(event, await store.fetch(ref.uri, limit_bytes=settings.dispatch.claim_check_max_bytes))


def _desired_at(found: History, text: str) -> Mapping[str, Json]:
    at = _seconds(found, text)
    if found.known_since is not None and at < found.known_since:
        click.echo(_unknown_before(found.known_since), err=True)
    return found.desired_at(at)


def _seconds(found: History, text: str) -> float:
    if text == "now":
        return float("inf")
    if text.isdecimal():
        at = found.claimed_at(int(text))
        if at is None:
            raise Unusable(f"{text}: no event that is kept has claimed this generation")
        return at
    try:
        then = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unusable(f"{text}: expected {_MOMENT}") from error
    if then.tzinfo is None:
        raise Unusable(f"{text}: say in which time zone, for example {text}Z")
    return then.timestamp()


def _unknown_before(known_since: float) -> str:
    return f"before {moment(known_since)} only what has not changed since is known: older events have been forgotten"


def _show_versions(found: History) -> None:
    before = found.base
    rows = []
    for version in found.versions:
        rows.append(_row(version, before))
        before = version.desired
    print_table(("at", "generation", "event", "type", "what", "outcome", "changes"), rows)
    if found.known_since is not None:
        click.echo(_unknown_before(found.known_since))


def _row(version: Version, before: Mapping[str, Json]) -> Sequence[object]:
    changed = _paths(differences(before, version.desired))
    words = (moment(version.at), version.generation, version.event_id, version.type, version.what)
    return (*words, version.outcome, version.problem or changed or "nothing")


def _paths(changes: Sequence[FieldChange]) -> str:
    more = len(changes) - _MOST_PATHS
    return ", ".join([*(change.path for change in changes[:_MOST_PATHS]), *([f"{more} more"] if more > 0 else [])])


def _show_desired(found: History, at: str, *, output: str) -> None:
    desired = _desired_at(found, at)
    if output == "json":
        print_json(desired)
    elif not desired:
        click.echo("nothing was desired of it")
    else:
        click.echo(json.dumps(redact_value("", desired), indent=2, ensure_ascii=False))


def _show_diff(found: History, before: str, after: str, *, output: str) -> None:
    changes = differences(_desired_at(found, before), _desired_at(found, after))
    if output == "json":
        print_json(changes)
        return
    for change in changes:
        for line in field_lines({"path": change.path, "before": change.before, "after": change.after}):
            click.echo(line)
    if not changes:
        click.echo("nothing differs")
