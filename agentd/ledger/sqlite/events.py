"""An event's record, from admission over waiting to its end. Each public function is one operation, or part of one."""

from collections.abc import Sequence

from agentd.core import LeaseLost, OutcomeKind, PermanentError, Reason
from agentd.ledger.judgement import sequence_counter
from agentd.ledger.protocol import Admission, Ending, Record, RecordState, Waiting
from agentd.ledger.sqlite.connection import Database, storable
from agentd.ledger.sqlite.rows import (
    EVENT_OF_KEY,
    INLINE_CHARACTERS,
    Holding,
    Row,
    current_record,
    ended_row,
    facets_of,
    facets_text,
    holding,
    item,
    json_text,
    listed,
    plain_line,
    record_from,
    record_of_epoch,
    without_desires,
)

HISTORY_LIMIT = 200

_NEW = """
    INSERT INTO events (
        key, event_id, digest, type, subject, generation, event, admitted_at, expires_at,
        attempts, started_at, epoch, changed, last_error_attempt, objects, steps, token, history
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, '', '', ?, ?)
"""
_END = """
    UPDATE events SET
        finished_at = ?, outcome = ?, reason = ?, message = ?, step = ?, result = ?, report_id = ?,
        sequence = ?, changed = changed OR ?,
        waiting_why = NULL, waiting_message = NULL, waiting_until = NULL, steps = '', history = history || ?
    WHERE key = ?
"""
_KEEP_PAST = """
    INSERT INTO past_epochs SELECT key, epoch, attempts, changed, started_at, last_error, last_error_attempt,
        finished_at, outcome, reason, message, step, result, report_id, sequence, objects
    FROM events WHERE key = ?
"""
_NEXT_EPOCH = """
    UPDATE events SET epoch = epoch + 1, attempts = 0, changed = 0, started_at = NULL, last_error = NULL,
        last_error_attempt = 0, finished_at = NULL, outcome = NULL, reason = NULL, message = NULL, step = NULL,
        result = NULL, report_id = NULL, sequence = NULL, objects = '', steps = '', history = history || ?
    WHERE key = ?
"""
_ATTEMPT_FAILED = """
    UPDATE events SET last_error = ?, last_error_attempt = attempts WHERE key = ? AND epoch = ? RETURNING attempts
"""


def admit(database: Database, admission: Admission) -> Record:
    """Write the event down, unless its key is known."""
    known = current_record(database, admission.key)
    if known is not None:
        return known
    new = new_record(admission)
    insert(database, new, history=noted(database, 1, at=admission.now, what="admitted", detail=admission.type))
    return new


def new_record(admission: Admission, *, attempts: int = 0, started_at: float | None = None) -> Record:
    """The record of an event that is written down for the first time."""
    return Record(
        key=admission.key,
        event_id=admission.event_id,
        digest=admission.digest,
        type=admission.type,
        subject=str(admission.subject),
        generation=admission.generation,
        event=admission.event,
        state=RecordState.OPEN,
        epoch=1,
        attempts=attempts,
        changed=False,
        admitted_at=admission.now,
        expires_at=admission.expires_at,
        started_at=started_at,
    )


def insert(database: Database, record: Record, *, history: str, token: int = 0) -> None:
    """Write a record down whose key is not known, with the token of its first claim if it is claimed at once."""
    apart = record.event is not None and len(record.event) > INLINE_CHARACTERS
    database.execute(
        _NEW,
        (
            record.key,
            record.event_id,
            record.digest,
            record.type,
            record.subject,
            record.generation,
            None if apart else record.event,
            record.admitted_at,
            record.expires_at,
            record.attempts,
            record.started_at,
            token,
            history,
        ),
    )
    if apart:
        database.execute("INSERT INTO texts (key, event) VALUES (?, ?)", (record.key, record.event))


def reopen(database: Database, key: str, *, epoch: int, now: float) -> Record:
    """Open the next epoch of an event that ended as failed or rejected."""
    record = _stored(database, key)
    if record.epoch != epoch or record.outcome is None or not record.outcome.dead_letters:
        return record
    detail = f"after {record.outcome.kind.value}"
    database.execute(_KEEP_PAST, (key,))
    database.execute(_NEXT_EPOCH, (noted(database, epoch + 1, at=now, what="redriven", detail=detail), key))
    return _stored(database, key)


def wait(database: Database, key: str, waiting: Waiting, *, now: float) -> None:
    """Note why an open event is put off; the same reason again is no new transition."""
    record = current_record(database, key)
    if record is None or record.state is RecordState.FINISHED:
        return
    database.execute(
        "UPDATE events SET waiting_why = ?, waiting_message = ?, waiting_until = ? WHERE key = ?",
        (waiting.why, waiting.message, waiting.until, key),
    )
    known = record.waiting
    if known is None or (known.why, known.message) != (waiting.why, waiting.message):
        note(database, key, record.epoch, at=now, what="waiting", detail=f"{waiting.why}: {waiting.message}")


def attempt_failed(database: Database, key: str, epoch: int, error: str, *, at: float) -> None:
    """Keep the last word of an attempt."""
    attempt = database.number(_ATTEMPT_FAILED, (error, key, epoch))
    note(database, key, epoch, at=at, what="attempt_failed", detail=f"attempt {attempt}: {error}")


def finish(database: Database, ending: Ending) -> Record:
    """End the epoch: outcome, sequence and report; lease and locks go, a delete that succeeded leaves its tombstone."""
    known = database.one(EVENT_OF_KEY, (ending.key,))
    if known is not None and (known["epoch"] != ending.epoch or known["finished_at"] is not None):
        return _ended_before(database, ending)
    subject, generation = (ending.subject, None) if known is None else (known["subject"], known["generation"])
    counted = sequence_counter(ending.key, subject) == subject
    own = holding(database, subject) if counted else Holding(subject)
    _prove_right(ending, own)
    row = _written_down(database, ending) if known is None else known
    if ending.claim is not None and ending.deletes and ending.outcome.kind is OutcomeKind.SUCCEEDED:
        _bury(database, own, generation)
    if own.deleting == ending.key:
        own.deleting = None
    if own.lease_key == ending.key:
        own.let_go(database)
    if counted:
        sequence = own.next_sequence()
        own.save(database)
    else:
        sequence = _own_sequence(database, ending.key)
    return _write_end(database, ending, row, sequence)


def repeat_report(database: Database, key: str) -> None:
    """Put a finished event's report into the outbox, unless it waits there."""
    database.execute(
        "INSERT INTO reports (report_id, key, epoch) SELECT report_id, key, epoch FROM events"
        " WHERE key = ? AND finished_at IS NOT NULL ON CONFLICT (report_id) DO NOTHING",
        (key,),
    )


def sent(database: Database, report_ids: Sequence[str]) -> None:
    """Take reports out of the outbox."""
    database.execute(
        "DELETE FROM reports WHERE report_id IN (SELECT value FROM json_each(?))", (json_text(list(report_ids)),)
    )


def purge(database: Database, *, finished_before: float, limit: int) -> int:
    """Forget old records whose reports have been sent, with all that hangs on them."""
    old = database.all(
        """
        SELECT key FROM events
        WHERE finished_at < ?
            AND NOT EXISTS (SELECT 1 FROM reports WHERE reports.report_id = events.report_id)
            AND NOT EXISTS (
                SELECT 1 FROM past_epochs JOIN reports USING (report_id) WHERE past_epochs.key = events.key
            )
        ORDER BY finished_at LIMIT ?
        """,
        (finished_before, limit),
    )
    for (key,) in old:
        database.execute("DELETE FROM events WHERE key = ?", (key,))
        database.execute("DELETE FROM past_epochs WHERE key = ?", (key,))
        database.execute("DELETE FROM texts WHERE key = ?", (key,))
    return len(old)


def note(database: Database, key: str, epoch: int, *, at: float, what: str, detail: str) -> None:
    """Add to the event's history, and forget what is beyond its bound."""
    text = noted(database, epoch, at=at, what=what, detail=detail)
    database.execute("UPDATE events SET history = history || ? WHERE key = ?", (text, key))
    trim(database, key)


def noted(database: Database, epoch: int, *, at: float, what: str, detail: str) -> str:
    """One transition, to be put behind an event's history."""
    return plain_line(database.position(), at, epoch, what, detail)


def trim(database: Database, key: str) -> None:
    """Forget what is beyond the bound of the event's history."""
    row = database.one("SELECT history FROM events WHERE key = ?", (key,))
    known = [] if row is None else listed(row[0])
    if len(known) > HISTORY_LIMIT:
        kept = "".join(item(transition) for transition in known[-HISTORY_LIMIT:])
        database.execute("UPDATE events SET history = ? WHERE key = ?", (kept, key))


def _stored(database: Database, key: str) -> Record:
    record = current_record(database, key)
    if record is None:
        raise PermanentError(Reason.INTERNAL_ERROR, f"ledger: {key} has never been admitted")
    return record


def _ended_before(database: Database, ending: Ending) -> Record:
    record = record_of_epoch(database, ending.key, ending.epoch)
    if record is None:
        raise PermanentError(Reason.INTERNAL_ERROR, f"ledger: {ending.key} has no epoch {ending.epoch}")
    return record


def _written_down(database: Database, ending: Ending) -> Row:
    """The row of a message that ends without ever having been admitted."""
    if ending.epoch != 1:
        raise PermanentError(Reason.INTERNAL_ERROR, f"ledger: {ending.key} has no epoch {ending.epoch}")
    new = Record(
        key=ending.key,
        event_id=ending.event_id,
        digest=ending.digest,
        type=ending.type,
        subject=ending.subject,
        generation=ending.generation,
        event=ending.event,
        state=RecordState.OPEN,
        epoch=1,
        attempts=0,
        changed=False,
        admitted_at=ending.now,
    )
    insert(database, new, history="")
    return database.all(EVENT_OF_KEY, (ending.key,))[0]


def _prove_right(ending: Ending, own: Holding) -> None:
    """LeaseLost unless the lease is the ending's own; without one, unless nobody works on the event."""
    claim, valid = ending.claim, own.lease_until > ending.now
    if claim is not None:
        of_the_event = (claim.key, claim.epoch, str(claim.subject)) == (ending.key, ending.epoch, own.subject)
        if not (of_the_event and own.is_of(claim) and valid):
            raise LeaseLost(f"ledger: {claim.replica} has no lease on {claim.subject} for {ending.key} any more")
    elif own.lease_key == ending.key and valid:
        raise LeaseLost(f"ledger: {own.lease_replica} is working on {ending.key}")


def _own_sequence(database: Database, key: str) -> int:
    """The next number of a record that counts for itself."""
    return 1 + database.number("SELECT coalesce(max(sequence), 0) FROM past_epochs WHERE key = ?", (key,))


def _write_end(database: Database, ending: Ending, row: Row, sequence: int) -> Record:
    outcome = ending.outcome
    reason, message = outcome.reason and outcome.reason.value, storable(outcome.message)
    words = (outcome.kind.value, reason and f"({reason})", message)
    detail = " ".join(word for word in words if word)
    result = None if outcome.result is None else json_text(outcome.result)
    end = (ending.now, outcome.kind.value, reason, message, outcome.step, result, ending.report_id, sequence)
    history = noted(database, ending.epoch, at=ending.now, what="finished", detail=detail)
    database.execute(_END, (*end, outcome.changed, history, ending.key))
    database.execute(
        "INSERT INTO reports (report_id, key, epoch) VALUES (?, ?, ?)", (ending.report_id, ending.key, ending.epoch)
    )
    return record_from(database, ended_row(row, end, changed=outcome.changed))


def _bury(database: Database, own: Holding, generation: int | None) -> None:
    own.tombstone = generation
    own.facets = facets_text(without_desires(facets_of(own), generation or 0))
    database.execute("DELETE FROM reserved_names WHERE subject = ?", (own.subject,))
