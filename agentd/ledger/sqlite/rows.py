"""Rows as the protocol's words, and the other way round."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from agentd.core import Outcome, OutcomeKind, Reason
from agentd.ledger.judgement import Claims, Generation, ended
from agentd.ledger.protocol import Claim, ClaimRequest, Json, Record, RecordState, StepRecord, Transition, Waiting
from agentd.ledger.sqlite.connection import Database

INLINE_CHARACTERS = 8192
"""An event's text up to this long is in its row; a longer one is apart, as a change of a row writes all of it anew."""

_ADMITTED = "event_id, digest, type, subject, generation, event, admitted_at, expires_at"
_ENDED = "finished_at, outcome, reason, message, step, result, report_id, sequence, objects"

EVENT = f"""
    events.key, {_ADMITTED}, epoch, attempts, changed, started_at, last_error,
    waiting_why, waiting_message, waiting_until, {_ENDED}
"""
"""The columns of an event in its current epoch, in the order that `record_from` takes."""

Row = Sequence[Any]  # values as their columns have them

EVENTS = f"SELECT {EVENT} FROM events"  # noqa: S608 - of constants
EVENT_OF_KEY = f"{EVENTS} WHERE key = ?"

_PAST = f"""
    SELECT past.key, {_ADMITTED}, past.epoch, past.attempts, past.changed, past.started_at, past.last_error, NULL, NULL, NULL,
    {", ".join(f"past.{column}" for column in _ENDED.split(", "))}
    FROM past_epochs AS past JOIN events USING (key)
"""  # noqa: S608 - of constants

_HOLDING = (
    "token, tombstone, covering, covering_event_id, deleting, sequence, facets,"
    " lease_key, lease_epoch, lease_replica, lease_generation, lease_until, preempted_by, lease_locks"
)
_LOAD_HOLDING = f"SELECT {_HOLDING} FROM holdings WHERE subject = ?"  # noqa: S608 - of constants
_SAVE_HOLDING = f"""
    INSERT OR REPLACE INTO holdings (subject, {_HOLDING})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""  # noqa: S608 - of constants
_NO_FACETS = "{}"
_REASONS = {reason.value: reason for reason in Reason}
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@dataclass(slots=True)
class Holding:
    """A subject, and the lease on it: `lease_key` None when there is none. `facets` as in the row."""

    subject: str
    token: int = 0
    tombstone: int | None = None
    covering: int | None = None
    covering_event_id: str | None = None
    deleting: str | None = None
    sequence: int = 0
    facets: str = _NO_FACETS
    lease_key: str | None = None
    lease_epoch: int | None = None
    lease_replica: str | None = None
    lease_generation: int = 0
    lease_until: float = 0.0
    preempted_by: str | None = None
    lease_locks: int = 0

    def is_of(self, claim: Claim) -> bool:
        """Whether the lease is the claim's, ended or not."""
        return (self.lease_key, self.lease_epoch, self.token, self.lease_replica) == (
            claim.key,
            claim.epoch,
            claim.token,
            claim.replica,
        )

    def take(self, request: ClaimRequest, epoch: int, *, locks: int) -> None:
        """The lease goes to the request, under a new token."""
        self.token += 1
        self.lease_key, self.lease_epoch, self.lease_replica = request.key, epoch, request.replica
        self.lease_generation, self.lease_until = request.generation, request.until
        self.preempted_by, self.lease_locks = None, locks

    def let_go(self, database: Database) -> None:
        """The lease and its locks are over."""
        if self.lease_locks:
            database.execute("DELETE FROM held_locks WHERE lease = ?", (self.subject,))
        self.lease_key = self.lease_epoch = self.lease_replica = self.preempted_by = None
        self.lease_generation, self.lease_until, self.lease_locks = 0, 0.0, 0

    def next_sequence(self) -> int:
        """The next number of the subject's counter, from 1."""
        self.sequence += 1
        return self.sequence

    def save(self, database: Database) -> None:
        """Write the row."""
        database.execute(
            _SAVE_HOLDING,
            (
                self.subject,
                self.token,
                self.tombstone,
                self.covering,
                self.covering_event_id,
                self.deleting,
                self.sequence,
                self.facets,
                self.lease_key,
                self.lease_epoch,
                self.lease_replica,
                self.lease_generation,
                self.lease_until,
                self.preempted_by,
                self.lease_locks,
            ),
        )


@dataclass(slots=True)
class Facet:
    """What is known of one facet of a subject. `desired` None: nothing."""

    generation: int
    event_id: str
    desired: Json


def holding(database: Database, subject: str) -> Holding:
    """A subject's row; a new one, not yet written, when there is none."""
    row = database.one(_LOAD_HOLDING, (subject,))
    return Holding(subject) if row is None else Holding(subject, *row)


def facets_of(held: Holding) -> dict[str, Facet]:
    """By name, in order."""
    if held.facets == _NO_FACETS:
        return {}
    return {name: Facet(*known) for name, known in sorted(json.loads(held.facets).items())}


def facets_text(facets: dict[str, Facet]) -> str:
    """As the row keeps them."""
    return json_text({name: [facet.generation, facet.event_id, facet.desired] for name, facet in facets.items()})


def without_desires(facets: dict[str, Facet], generation: int) -> dict[str, Facet]:
    """After a delete, or a create, of this generation."""
    over = ended({name: Generation(facet.generation, facet.event_id) for name, facet in facets.items()}, generation)
    return facets | {name: Facet(facets[name].generation, facets[name].event_id, None) for name in over}


def claims_of(held: Holding, facets: dict[str, Facet]) -> Claims:
    """The generations claimed of a subject."""
    return Claims(
        facets={name: Generation(facet.generation, facet.event_id) for name, facet in facets.items()},
        covering=None if held.covering is None else Generation(held.covering, held.covering_event_id or ""),
        tombstone=held.tombstone,
        wanted=frozenset(name for name, facet in facets.items() if facet.desired is not None),
    )


def current_record(database: Database, key: str) -> Record | None:
    """The record in its current epoch."""
    row = database.one(EVENT_OF_KEY, (key,))
    return None if row is None else record_from(database, row)


def record_of_epoch(database: Database, key: str, epoch: int) -> Record | None:
    """The record as it is, or ended, in one epoch."""
    record = current_record(database, key)
    if record is None or record.epoch == epoch:
        return record
    row = database.one(
        f"{_PAST} WHERE past.key = ? AND past.epoch = ?",
        (key, epoch),
    )
    return None if row is None else record_from(database, row)


def record_from(database: Database, row: Row) -> Record:
    """A row of EVENT."""
    (key, event_id, digest, kind, subject, generation, event, admitted_at, expires_at, epoch, attempts, changed) = row[
        :12
    ]
    (started_at, last_error, why, waiting_message, until, finished_at, outcome, reason, message, step) = row[12:22]
    (result, _report_id, sequence, objects) = row[22:]
    return Record(
        key=key,
        event_id=event_id,
        digest=digest,
        type=kind,
        subject=subject,
        generation=generation,
        event=_text_apart(database, key) if event is None else event,
        state=RecordState.OPEN if finished_at is None else RecordState.FINISHED,
        epoch=epoch,
        attempts=attempts,
        changed=bool(changed),
        admitted_at=admitted_at,
        expires_at=expires_at,
        started_at=started_at,
        finished_at=finished_at,
        last_error=last_error,
        waiting=None if why is None else Waiting(why, waiting_message, until),
        outcome=None if outcome is None else _outcome(outcome, reason, message, step, result, changed=bool(changed)),
        sequence=sequence,
        objects=tuple(dict.fromkeys(listed(objects))) if objects else (),
    )


def ended_row(row: Row, end: Row, *, changed: bool) -> Row:
    """A row of EVENT as it is once its epoch has ended: it waits for nothing. `end` is from `finished_at` to `sequence`."""
    return (*row[:11], row[11] or changed, *row[12:14], None, None, None, *end, row[-1])


def line(*values: Json) -> str:
    """A JSON array as the lists within a row are made of."""
    return f"{_encode(values)},"


def plain_line(*values: str | float) -> str:
    """The same of numbers and texts, of which a row has many."""
    try:
        return f"{to_json(values).decode()},"
    except PydanticSerializationError:
        return line(*values)  # lone surrogates, which the connection stores with escapes


def item(value: Json) -> str:
    """A JSON value of such a list."""
    return f"{_encode(value)},"


def listed(text: str) -> list[Json]:
    """The values of such a list."""
    found: list[Json] = json.loads(f"[{text[:-1]}]") if text else []
    return found


def transitions_from(text: str) -> list[Transition]:
    """An event's history."""
    return [Transition(at=at, epoch=epoch, what=what, detail=detail) for _, at, epoch, what, detail in listed(text)]


def steps_from(text: str, epoch: int) -> list[StepRecord]:
    """An epoch's journal; of a step that was done again the newest result, in the place of the first."""
    newest = {step: StepRecord(epoch, step, result, at) for step, result, at in listed(text)}
    return list(newest.values())


def json_text(value: Json) -> str:
    """JSON to be stored. TypeError or ValueError: the value is not JSON."""
    return _encode(value)


def _text_apart(database: Database, key: str) -> str | None:
    row = database.one("SELECT event FROM texts WHERE key = ?", (key,))
    return None if row is None else row[0]


def _outcome(
    kind: str, reason: str | None, message: str, step: str | None, result: str | None, *, changed: bool
) -> Outcome:
    return Outcome(
        kind=OutcomeKind(kind),
        changed=changed,
        reason=None if reason is None else _REASONS[reason],
        message=message,
        step=step,
        result=None if result is None else json.loads(result),
    )
