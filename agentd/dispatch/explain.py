"""Why an event is done, or is not, and what would let it go on: answered from the ledger alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agentd.core import Hold, Subject
from agentd.dispatch.policy import BudgetState, budget, intake
from agentd.events import parse
from agentd.ledger import Held, Ledger, Record, RecordState, StepRecord, SubjectState, Transition
from agentd.telemetry.tracing import trace_id

_OVERDUE_S = 600.0  # no delivery is ever put off for longer, and no lease on a message lasts as long
_MOST_REPORTS = 100
_OVERDUE = (
    "No replica has received it since. See whether one runs and receives (`agentd status`), and whether the queue still "
    "holds the message."
)
_CRASHED = "Nothing needs to be done; the log of the replica may say why its attempt ended."


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an event stands, in a sentence; why it waits, if it does, and what would let it go on."""

    verdict: str
    hold: Hold | None = None
    unblock: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One event: where it stands, what the ledger knows of it, and what happened in which order."""

    verdict: str
    hold: Hold | None
    unblock: str
    record: Record
    transitions: Sequence[Transition]
    steps: Sequence[StepRecord]
    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What holds up more than one event."""

    hold: Hold
    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a text names: events, the newest first, and the subjects that they are about."""

    notices: Sequence[Notice]
    subjects: Sequence[SubjectState]
    events: Sequence[Explanation]


async def explain(ledger: Ledger, text: str, *, now: float) -> Answer:
    """What an event id, a message id, a key or a subject names."""
    records = await ledger.find(text)
    names = dict.fromkeys([text, *(record.subject for record in records if record.key.startswith("event/"))])
    subjects = [state for name in names if (state := await _subject(ledger, name)) is not None]
    holders = {state.subject: state.held_by for state in subjects}
    unsent = await _unsent(ledger, records)
    return Answer(
        notices=await _notices(ledger),
        subjects=subjects,
        events=[await _explain(ledger, record, holders, record.key in unsent, now) for record in records],
    )


async def _explain(
    ledger: Ledger, record: Record, holders: Mapping[str, Held | None], unsent: bool, now: float
) -> Explanation:
    transitions = await ledger.history(record.key)
    held_by = holders.get(record.subject) if record.key.startswith("event/") else None
    standing = stand(record, held_by, transitions[-1] if transitions else None, now=now)
    return Explanation(
        verdict=f"{standing.verdict}; its report waits to be sent" if unsent else standing.verdict,
        hold=standing.hold,
        unblock=standing.unblock,
        record=record,
        transitions=transitions,
        steps=await ledger.steps(record.key),
        trace_id=_trace(record),
    )


def _trace(record: Record) -> str | None:
    """The trace that a verified event belongs to."""
    if record.event is None or not record.key.startswith("event/"):
        return None
    return trace_id(parse(record.event).get("traceparent"))


def stand(record: Record, held_by: Held | None, last: Transition | None, *, now: float) -> Standing:
    """Where an event stands. `held_by` is its subject's lease, `last` what happened to it last. Pure."""
    if record.state is RecordState.FINISHED:
        return Standing(_ended(record))
    if held_by is not None and held_by.until > now and held_by.by_key == record.key:
        return Standing(f"is being worked on by replica {held_by.by_replica}, attempt {record.attempts}")
    if record.waiting is not None and record.waiting.until > now:
        return _waiting(record, f"is looked at again in {_span(record.waiting.until - now)}")
    if held_by is not None and held_by.until > now:
        verdict = f"waits behind {held_by.by_key}, which replica {held_by.by_replica} is working on"
        return Standing(verdict, Hold.LEASE, Hold.LEASE.help)
    return _due(record, last, now)


def _due(record: Record, last: Transition | None, now: float) -> Standing:
    """Of an event that nothing is known to hold up any more: the next delivery of its message goes on."""
    since = record.admitted_at if last is None else last.at
    if record.waiting is not None:
        since = record.waiting.until
    overdue_s = now - since
    if overdue_s > _OVERDUE_S:
        late = f"has been due for {_span(overdue_s)} and was not delivered"
        standing = (
            _waiting(record, late) if record.waiting is not None else Standing(f"{_silent(record, last)}; it {late}")
        )
        return Standing(standing.verdict, standing.hold, _OVERDUE)
    if record.waiting is not None:
        return _waiting(record, "is due with the next delivery")
    unblock = _CRASHED if record.attempts else ""
    return Standing(f"{_silent(record, last)}; the next delivery of the message goes on", unblock=unblock)


def _silent(record: Record, last: Transition | None) -> str:
    """What is known of an event that is neither held nor waits."""
    if last is not None and last.what == "attempt_failed":
        return last.detail
    if record.attempts:
        return f"attempt {record.attempts} ended without a word"
    if last is not None and last.what == "redriven":
        return "was redriven and has not had its turn yet"
    return "was admitted and has not had its turn yet"


def _waiting(record: Record, when: str) -> Standing:
    waiting = record.waiting
    if waiting is None:
        raise ValueError(f"{record.key} does not wait")
    hold = next((hold for hold in Hold if hold == waiting.why), None)
    verdict = f"waits ({waiting.why}): {waiting.message}; it {when}"
    return Standing(verdict, hold, "" if hold is None else hold.help)


def _ended(record: Record) -> str:
    outcome = record.outcome
    if outcome is None:
        raise ValueError(f"{record.key} is not finished")
    parts = [outcome.kind.value]
    if outcome.reason is not None:
        parts.append(f"({outcome.reason.value})")
    if record.attempts:
        parts.append(f"after {record.attempts} attempt{'' if record.attempts == 1 else 's'}")
    parts.append("with changes" if record.changed else "with nothing to change")
    sentence = " ".join(parts)
    if outcome.step:
        sentence += f", at step {outcome.step!r}"
    if outcome.message:
        sentence += f": {outcome.message}"
    if outcome.reason is not None:
        sentence += f" [{outcome.reason.help}]"
    return sentence


async def _subject(ledger: Ledger, name: str) -> SubjectState | None:
    try:
        subject = Subject.parse(name)
    except ValueError:
        return None
    return await ledger.subject(subject)


async def _unsent(ledger: Ledger, records: Sequence[Record]) -> frozenset[str]:
    """The keys of finished events whose report is among the oldest that wait to be sent."""
    if not any(record.state is RecordState.FINISHED for record in records):
        return frozenset()
    return frozenset(entry.record.key for entry in await ledger.outbox(_MOST_REPORTS))


async def _notices(ledger: Ledger) -> Sequence[Notice]:
    found = []
    if (pause := await intake.paused(ledger)) is not None:
        found.append(Notice(Hold.PAUSED, f"intake was paused by {pause.by} at {_moment(pause.at)}: {pause.why}"))
    variable = await ledger.variable(budget.VARIABLE)
    if variable is not None and (stopped_at := BudgetState.read(variable.value).stopped_at) is not None:
        found.append(Notice(Hold.BUDGET, f"destructive steps wait since {_moment(stopped_at)}"))
    return found


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _span(seconds: float) -> str:
    """A length of time for people."""
    for unit_s, unit in ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
