"""`agentd policy`: try a policy, look at it, and approve what waits for a second person."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, assert_never

import click

from agentd.app.stopping import ExitCode
from agentd.cli.common import Unusable, asynchronous, load_settings
from agentd.cli.ledger import opened_ledger
from agentd.cli.output import moment, output_option, print_json, print_table
from agentd.core import system_runtime
from agentd.dispatch.policy import (
    Allow,
    Approval,
    Decision,
    Facts,
    Policy,
    Refuse,
    Request,
    Rule,
    Wait,
    approve,
    decide,
    read_policy,
)
from agentd.dispatch.policy.trial import looks
from agentd.events import Malformed, decode, encode
from agentd.ledger import Ledger, Record, RecordState

_WAITS = 4
_HOUR_S = 3600.0

_policy_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def policy() -> None:
    """Try a policy, look at it, and approve what waits for a second person."""


@policy.command()
@click.argument("file", type=_policy_file)
@click.argument("event", type=click.File("r", encoding="utf-8"))
@click.option("--now", metavar="TIME", help="Decide as at this time (ISO 8601; UTC if it does not say).")
@click.option("--actor", help="Decide as if this actor had asked.")
@click.option("--key", help="Decide as if the key with this id vouched for the event.")
@click.option("--approved-by", metavar="NAME", help="Decide as if this person had approved the event.")
@output_option
@click.pass_context
def test(
    context: click.Context,
    *,
    file: Path,
    event: IO[str],
    now: str | None,
    actor: str | None,
    key: str | None,
    approved_by: str | None,
    output: str,
) -> None:
    """Say what the policy in FILE makes of the CloudEvent in EVENT (- for standard input), and why.

    Exit code 0: it is let in; 1: refused; 4: it has to wait; 2: the policy or the event cannot be read. Quotas are taken to
    have room, and the signature is not looked at.
    """
    tried, request, at = _read(file), _request(event, actor, key), _time(now)
    approval = None if approved_by is None else Approval(request.event.digest, approved_by, at, at + _HOUR_S)
    decision = decide(tried, request, Facts(approval), at)
    seen = tuple(looks(tried, request, at))
    told = _told(decision)
    if output == "json":
        print_json({**told, "at": moment(at), "rules": seen})
    else:
        click.echo(" ".join(f"{name}: {value}" for name, value in told.items() if value is not None))
        click.echo()
        print_table(("rule", "decides", "why"), [(look.rule, look.decides, look.why) for look in seen])
    context.exit(_code(decision))


@policy.command()
@click.argument("file", type=_policy_file, required=False)
@output_option
@click.pass_context
def show(context: click.Context, file: Path | None, output: str) -> None:
    """Show the rules of FILE, or of the policy that the settings name, as the agent reads them."""
    path = file or load_settings(context).settings.policy.file
    if path is None:
        raise click.ClickException("policy.file is not set: every event that is believed is let in")
    shown = _read(path)
    columns = ("rule", "effect", "matches", "conditions")
    rows = [(rule.name, rule.effect.value, _matches(rule), _conditions(rule)) for rule in shown.rules]
    if output == "json":
        rules = [dict(zip(columns, row, strict=True)) for row in rows]
        print_json({"default": shown.default, "time_zone": shown.zone.key, "rules": rules})
    else:
        print_table(columns, rows)
        click.echo(f"\nWhat no rule matches: {shown.default.value}. Times are those of {shown.zone.key}.")


@policy.command("approve")
@click.argument("event_id")
@click.option("--by", required=True, metavar="NAME", help="Who approves; not the event's own actor.")
@click.option("--note", default="", help="Why, for the record.")
@click.option(
    "--hours", type=click.FloatRange(0.1, 24 * 31), default=24.0, show_default=True, help="How long it holds."
)
@output_option
@click.pass_context
@asynchronous
async def approve_(context: click.Context, *, event_id: str, by: str, note: str, hours: float, output: str) -> None:
    """Approve the event with this id, which the agent holds back for it: just what it says now, and no other content."""
    now = system_runtime().now()
    async with opened_ledger(load_settings(context).settings) as ledger:
        record = await _waiting(ledger, event_id)
        try:
            approval = await approve(
                ledger, record, actor=_actor(record), by=by, note=note, now=now, valid_s=hours * _HOUR_S
            )
        except ValueError as error:
            raise click.ClickException(f"{event_id}: {error}") from error
    if output == "json":
        print_json({"event_id": event_id, "approval": approval})
    else:
        click.echo(
            f"{event_id} ({record.type} {record.subject}) is approved by {by} until {moment(approval.expires_at)}"
        )


def _read(path: Path) -> Policy:
    try:
        return read_policy(path.read_bytes())
    except ValueError as error:
        raise Unusable(f"{path}: {error}") from error


def _request(file: IO[str], actor: str | None, key_id: str | None) -> Request:
    try:
        event = decode(file.read())
        if actor is not None:
            envelope = {**event.envelope.model_dump(mode="json"), "actor": actor}
            data = None if event.data is None else event.data.model_dump(mode="json")
            event = decode(encode(envelope, data))
        return Request.of(event, key_id)
    except Malformed as error:
        raise Unusable(f"{file.name}: {error.message}") from error
    except ValueError as error:
        raise Unusable(f"{file.name}: its data travels by claim check; put it into the event to try it") from error


def _time(text: str | None) -> float:
    if text is None:
        return system_runtime().now()
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no time, such as 2026-12-24T18:00+01:00", param_hint="--now") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _told(decision: Decision) -> Mapping[str, Any]:
    match decision:
        case Allow(rule=rule):
            return {"decision": "allow", "rule": rule, "why": None, "until": None}
        case Refuse(rule=rule, why=why):
            return {"decision": "refuse", "rule": rule, "why": why, "until": None}
        case Wait(rule=rule, why=why, until=until):
            return {"decision": "wait", "rule": rule, "why": why, "until": None if until is None else moment(until)}
        case _:
            assert_never(decision)


def _code(decision: Decision) -> int:
    match decision:
        case Allow():
            return int(ExitCode.DRAINED)
        case Refuse():
            return int(ExitCode.FAILED)
        case Wait():
            return _WAITS
        case _:
            assert_never(decision)


def _matches(rule: Rule) -> str:
    return "; ".join(f"{matcher.field}: {matcher.globs}" for matcher in rule.matchers) or "everything"


def _conditions(rule: Rule) -> str:
    return "; ".join(_condition_texts(rule)) or "none"


def _condition_texts(rule: Rule) -> Sequence[str]:
    force = [f"{word} {moment(at)}" for word, at in (("from", rule.begins), ("until", rule.ends)) if at is not None]
    windows = [f"open {window}" for window in rule.schedule.windows] if rule.schedule else []
    quota = [f"at most {rule.quota.events} in {rule.quota.window_s:g} s"] if rule.quota else []
    approval = ["approval of a second person"] if rule.approval else []
    otherwise = [f"otherwise {rule.otherwise.value}"] if windows or quota else []
    return [*force, *windows, *quota, *approval, *otherwise]


async def _waiting(ledger: Ledger, event_id: str) -> Record:
    record = await ledger.lookup(f"event/{event_id}")
    if record is None:
        raise click.ClickException(f"{event_id}: the ledger knows no such event; it has not been received")
    if record.state is RecordState.FINISHED:
        raise click.ClickException(f"{event_id} has ended already: agentd explain {event_id}")
    return record


def _actor(record: Record) -> str | None:
    return None if record.event is None else decode(record.event).envelope.actor
