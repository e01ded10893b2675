"""Why an event is done, or is not: answered from the ledger alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from agentd.core import Subject
from agentd.ledger import Held, Ledger, Record, RecordState, StepRecord, SubjectState, Transition


@dataclass(frozen=True, slots=True)
class Explanation:
    """One event: what the ledger knows, what happened in which order, and a sentence that sums it up."""

    verdict: str
    record: Record
    transitions: Sequence[Transition]
    steps: Sequence[StepRecord]
    subject: SubjectState | None


async def explain(ledger: Ledger, text: str, *, now: float) -> Sequence[Explanation]:
    """Explanations of all events that an event id, a message id, a key or a subject names; newest first."""
    return [await _explain(ledger, record, now) for record in await ledger.find(text)]


async def _explain(ledger: Ledger, record: Record, now: float) -> Explanation:
    subject = await ledger.subject(_subject(record)) if _has_subject(record) else None
    return Explanation(
        verdict=verdict(record, subject.held_by if subject else None, now=now),
        record=record,
        transitions=await ledger.history(record.key),
        steps=await ledger.steps(record.key),
        subject=subject,
    )


def verdict(record: Record, held_by: Held | None, *, now: float) -> str:
    """One sentence on where the event stands. Pure."""
    if record.state is RecordState.FINISHED and record.outcome is not None:
        return _ended(record)
    if held_by is not None and held_by.until > now:
        if held_by.by_key == record.key:
            return f"is being worked on by replica {held_by.by_replica}, attempt {record.attempts}"
        return f"waits behind {held_by.by_key}, which replica {held_by.by_replica} is working on"
    if record.waiting is not None:
        wait_s = record.waiting.until - now
        due = f"is looked at again in {wait_s:.0f} s" if wait_s > 0 else "is due with the next delivery"
        return f"waits ({record.waiting.why}): {record.waiting.message}; it {due}"
    if record.attempts:
        return f"attempt {record.attempts} ended without a word; the next delivery of the message goes on"
    return "was admitted and has not had its turn yet"


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


def _has_subject(record: Record) -> bool:
    return record.key.startswith("event/") and bool(record.subject)


def _subject(record: Record) -> Subject:
    return Subject.parse(record.subject)
