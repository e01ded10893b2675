"""An event's record, from admission over waiting to its end. Each function is one operation, inside a transaction."""

from collections.abc import Sequence

from agentd.core import LeaseLost, OutcomeKind, PermanentError, Reason
from agentd.ledger.judgement import sequence_counter
from agentd.ledger.protocol import Admission, Ending, Record, RecordState, Waiting
from agentd.ledger.sqlite import leases
from agentd.ledger.sqlite.connection import Database, Parameters
from agentd.ledger.sqlite.rows import current_record, record_of_epoch

HISTORY_LIMIT = 200

_NEW_RECORD = """
    INSERT INTO records (key, event_id, digest, type, subject, generation, event, epoch, admitted_at, expires_at)
    VALUES (:key, :event_id, :digest, :type, :subject, :generation, :event, :epoch, :now, :expires_at)
    ON CONFLICT DO NOTHING
"""
_NEW_EPOCH = "INSERT INTO epochs (key, epoch) VALUES (:key, :epoch)"
_END = """
    UPDATE epochs SET
        finished_at = :now, outcome = :kind, reason = :reason, message = :message, step = :step,
        changed = changed OR :changed, report_id = :report_id, sequence = :sequence,
        waiting_why = NULL, waiting_message = NULL, waiting_until = NULL
    WHERE key = :key AND epoch = :epoch
"""
_WAIT = """
    UPDATE epochs SET waiting_why = :why, waiting_message = :message, waiting_until = :until
    WHERE key = :key AND epoch = :epoch
"""


def admit(database: Database, admission: Admission) -> Record:
    """Write the event down, unless its key is known."""
    made = _make(
        database,
        {
            "key": admission.key,
            "event_id": admission.event_id,
            "digest": admission.digest,
            "type": admission.type,
            "subject": str(admission.subject),
            "generation": admission.generation,
            "event": admission.event,
            "epoch": 1,
            "now": admission.now,
            "expires_at": admission.expires_at,
        },
    )
    if made:
        note(database, admission.key, 1, at=admission.now, what="admitted", detail=admission.type)
    return _stored(database, admission.key)


def reopen(database: Database, key: str, *, epoch: int, now: float) -> Record:
    """Open the next epoch of an event that ended as failed or rejected."""
    record = _stored(database, key)
    if record.epoch != epoch or record.outcome is None or not record.outcome.dead_letters:
        return record
    following: Parameters = {"key": key, "epoch": epoch + 1}
    database.execute("UPDATE records SET epoch = :epoch WHERE key = :key", following)
    database.execute(_NEW_EPOCH, following)
    note(database, key, epoch + 1, at=now, what="redriven", detail=f"after {record.outcome.kind.value}")
    return _stored(database, key)


def wait(database: Database, key: str, waiting: Waiting, *, now: float) -> None:
    """Note why an open event is put off; the same reason again is no new transition."""
    record = current_record(database, key)
    if record is None or record.state is RecordState.FINISHED:
        return
    database.execute(
        _WAIT,
        {
            "key": key,
            "epoch": record.epoch,
            "why": waiting.why,
            "message": waiting.message,
            "until": waiting.until,
        },
    )
    known = record.waiting
    if known is None or (known.why, known.message) != (waiting.why, waiting.message):
        note(database, key, record.epoch, at=now, what="waiting", detail=f"{waiting.why}: {waiting.message}")


def finish(database: Database, ending: Ending) -> Record:
    """End the epoch: outcome, sequence and report; lease and locks go, a delete that succeeded leaves its tombstone."""
    record = record_of_epoch(database, ending.key, ending.epoch)
    if record is None:
        record = _unadmitted(database, ending)
    if record.state is RecordState.FINISHED:
        return record
    _prove_right(database, ending)
    _write_end(database, ending, record)
    if ending.claim is not None and ending.deletes and ending.outcome.kind is OutcomeKind.SUCCEEDED:
        _bury(database, record)
    database.execute(
        "UPDATE subjects SET deleting = NULL WHERE subject = :subject AND deleting = :key",
        {"subject": record.subject, "key": record.key},
    )
    database.execute("DELETE FROM leases WHERE key = :key", {"key": ending.key})
    database.execute(
        "DELETE FROM steps WHERE key = :key AND epoch = :epoch", {"key": ending.key, "epoch": ending.epoch}
    )
    return _stored(database, ending.key)


def repeat_report(database: Database, key: str) -> None:
    """Put a finished event's report into the outbox, unless it waits there."""
    database.execute(
        "INSERT INTO outbox (report_id, key, epoch) SELECT report_id, key, epoch FROM epochs"
        " WHERE key = :key AND epoch = (SELECT epoch FROM records WHERE key = :key) AND finished_at IS NOT NULL"
        " ON CONFLICT (report_id) DO NOTHING",
        {"key": key},
    )


def sent(database: Database, report_ids: Sequence[str]) -> None:
    """Take reports out of the outbox."""
    for report_id in report_ids:
        database.execute("DELETE FROM outbox WHERE report_id = :report_id", {"report_id": report_id})


def purge(database: Database, *, finished_before: float, limit: int) -> int:
    """Forget old records whose reports have been sent, with all that hangs on them."""
    old = database.all(
        """
        SELECT records.key FROM epochs JOIN records ON records.key = epochs.key AND records.epoch = epochs.epoch
        WHERE epochs.finished_at < :before
            AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.key = records.key)
        ORDER BY epochs.finished_at LIMIT :limit
        """,
        {"before": finished_before, "limit": limit},
    )
    for row in old:
        database.execute("DELETE FROM records WHERE key = :key", {"key": row["key"]})
        database.execute("DELETE FROM sequences WHERE counter = :key", {"key": row["key"]})
    return len(old)


def note(database: Database, key: str, epoch: int, *, at: float, what: str, detail: str) -> None:
    """Add to the event's history, and forget what is beyond its bound."""
    database.execute(
        "INSERT INTO transitions (key, epoch, at, what, detail) VALUES (:key, :epoch, :at, :what, :detail)",
        {"key": key, "epoch": epoch, "at": at, "what": what, "detail": detail},
    )
    database.execute(
        "DELETE FROM transitions WHERE key = :key AND position <="
        " (SELECT position FROM transitions WHERE key = :key ORDER BY position DESC LIMIT 1 OFFSET :limit)",
        {"key": key, "limit": HISTORY_LIMIT},
    )


def next_sequence(database: Database, key: str, subject: str) -> int:
    """The next number of the record's counter, from 1."""
    return database.number(
        "INSERT INTO sequences (counter, value) VALUES (:counter, 1)"
        " ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value",
        {"counter": sequence_counter(key, subject)},
    )


def _make(database: Database, values: Parameters) -> bool:
    if database.execute(_NEW_RECORD, values).rowcount == 0:
        return False
    database.execute(_NEW_EPOCH, {"key": values["key"], "epoch": values["epoch"]})
    return True


def _stored(database: Database, key: str) -> Record:
    record = current_record(database, key)
    if record is None:
        raise PermanentError(Reason.INTERNAL_ERROR, f"ledger: {key} has never been admitted")
    return record


def _unadmitted(database: Database, ending: Ending) -> Record:
    """The record of a message that ends without ever having been admitted."""
    if ending.claim is not None:
        raise LeaseLost(f"ledger: {ending.key} has no lease in epoch {ending.epoch}")
    made = _make(
        database,
        {
            "key": ending.key,
            "event_id": ending.event_id,
            "digest": ending.digest,
            "type": ending.type,
            "subject": ending.subject,
            "generation": ending.generation,
            "event": ending.event,
            "epoch": ending.epoch,
            "now": ending.now,
            "expires_at": None,
        },
    )
    if not made:
        raise PermanentError(Reason.INTERNAL_ERROR, f"ledger: {ending.key} has no epoch {ending.epoch}")
    return _stored(database, ending.key)


def _prove_right(database: Database, ending: Ending) -> None:
    """LeaseLost unless the lease is the ending's own; without one, unless nobody works on the event."""
    claim = ending.claim
    if claim is not None:
        own = (claim.key, claim.epoch) == (ending.key, ending.epoch)
        if not own or leases.valid(database, claim, now=ending.now) is None:
            raise LeaseLost(f"ledger: {claim.replica} has no lease on {claim.subject} for {ending.key} any more")
        return
    holder = database.one(
        "SELECT replica FROM leases WHERE key = :key AND until > :now", {"key": ending.key, "now": ending.now}
    )
    if holder is not None:
        raise LeaseLost(f"ledger: {holder['replica']} is working on {ending.key}")


def _write_end(database: Database, ending: Ending, record: Record) -> None:
    outcome = ending.outcome
    sequence = next_sequence(database, record.key, record.subject)
    database.execute(
        _END,
        {
            "key": ending.key,
            "epoch": ending.epoch,
            "now": ending.now,
            "kind": outcome.kind.value,
            "reason": None if outcome.reason is None else outcome.reason.value,
            "message": outcome.message,
            "step": outcome.step,
            "changed": outcome.changed,
            "report_id": ending.report_id,
            "sequence": sequence,
        },
    )
    repeat_report(database, ending.key)
    words = (outcome.kind.value, outcome.reason and f"({outcome.reason.value})", outcome.message)
    detail = " ".join(word for word in words if word)
    note(database, ending.key, ending.epoch, at=ending.now, what="finished", detail=detail)


def _bury(database: Database, record: Record) -> None:
    where = {"subject": record.subject, "generation": record.generation}
    database.execute("UPDATE subjects SET tombstone = :generation WHERE subject = :subject", where)
    database.execute("UPDATE facets SET desired = 'null' WHERE subject = :subject", where)
    database.execute("DELETE FROM names WHERE subject = :subject", {"subject": record.subject})
