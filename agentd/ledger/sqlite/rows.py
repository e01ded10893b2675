"""Rows as the protocol's words."""

import json
import sqlite3

from agentd.core import Outcome, OutcomeKind, Reason
from agentd.ledger.protocol import Json, Record, RecordState, StepRecord, Transition, Waiting
from agentd.ledger.sqlite.connection import Database, Parameters

RECORDS = """
    SELECT records.key, records.event_id, records.digest, records.type, records.subject, records.generation,
           records.event, records.admitted_at, records.expires_at, epochs.*
    FROM records JOIN epochs ON epochs.key = records.key
"""
CURRENT = f"{RECORDS} AND epochs.epoch = records.epoch"

_REASONS = {reason.value: reason for reason in Reason}


def current_record(database: Database, key: str) -> Record | None:
    """The record in its current epoch."""
    return _first(database, f"{CURRENT} WHERE records.key = :key", {"key": key})


def record_of_epoch(database: Database, key: str, epoch: int) -> Record | None:
    """The record as it is, or ended, in one epoch."""
    where = "WHERE records.key = :key AND epochs.epoch = :epoch"
    return _first(database, f"{RECORDS} {where}", {"key": key, "epoch": epoch})


def record_from(database: Database, row: sqlite3.Row) -> Record:
    """A row of RECORDS, with the objects that belong to it."""
    finished = row["finished_at"] is not None
    return Record(
        key=row["key"],
        event_id=row["event_id"],
        digest=row["digest"],
        type=row["type"],
        subject=row["subject"],
        generation=row["generation"],
        event=row["event"],
        state=RecordState.FINISHED if finished else RecordState.OPEN,
        epoch=row["epoch"],
        attempts=row["attempts"],
        changed=bool(row["changed"]),
        admitted_at=row["admitted_at"],
        expires_at=row["expires_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        last_error=row["last_error"],
        waiting=_waiting(row),
        outcome=_outcome(row) if finished else None,
        sequence=row["sequence"],
        objects=_objects(database, row["key"], row["epoch"]),
    )


def transition_from(row: sqlite3.Row) -> Transition:
    """A row of transitions."""
    return Transition(at=row["at"], epoch=row["epoch"], what=row["what"], detail=row["detail"])


def step_from(row: sqlite3.Row) -> StepRecord:
    """A row of steps."""
    return StepRecord(epoch=row["epoch"], step=row["step"], result=json.loads(row["result"]), at=row["at"])


def json_text(value: Json) -> str:
    """JSON to be stored. TypeError or ValueError: the value is not JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _first(database: Database, sql: str, parameters: Parameters) -> Record | None:
    row = database.one(sql, parameters)
    return None if row is None else record_from(database, row)


def _objects(database: Database, key: str, epoch: int) -> tuple[str, ...]:
    found = database.all(
        "SELECT name FROM objects WHERE key = :key AND epoch = :epoch ORDER BY position", {"key": key, "epoch": epoch}
    )
    return tuple(row["name"] for row in found)


def _waiting(row: sqlite3.Row) -> Waiting | None:
    if row["waiting_why"] is None:
        return None
    return Waiting(why=row["waiting_why"], message=row["waiting_message"], until=row["waiting_until"])


def _outcome(row: sqlite3.Row) -> Outcome:
    return Outcome(
        kind=OutcomeKind(row["outcome"]),
        changed=bool(row["changed"]),
        reason=None if row["reason"] is None else _REASONS[row["reason"]],
        message=row["message"],
        step=row["step"],
    )
