"""The claim, decided and carried out in one transaction; and its opposite, the release."""

import json
import sqlite3
from dataclasses import replace

from agentd.core import PermanentError, Reason
from agentd.ledger.judgement import Claims, Generation, judge, newest, taken_over
from agentd.ledger.protocol import (
    Claim,
    Claimed,
    ClaimRequest,
    ClaimResult,
    Exhausted,
    Finished,
    Json,
    NameTaken,
    OtherContent,
    Record,
    RecordState,
    Waiting,
)
from agentd.ledger.sqlite import events, leases
from agentd.ledger.sqlite.connection import Database, Parameters
from agentd.ledger.sqlite.rows import current_record, json_text, record_of_epoch

_COUNT_ATTEMPT = """
    UPDATE epochs SET attempts = attempts + 1, started_at = coalesce(started_at, :now),
        waiting_why = NULL, waiting_message = NULL, waiting_until = NULL
    WHERE key = :key AND epoch = :epoch
    RETURNING attempts, changed
"""
_UNCOUNT_ATTEMPT = "UPDATE epochs SET attempts = attempts - 1 WHERE key = :key AND epoch = :epoch"
_KEEP_ERROR = """
    UPDATE epochs SET last_error = :error, last_error_attempt = attempts WHERE key = :key AND epoch = :epoch
    RETURNING attempts
"""
_SET_FACET = """
    INSERT INTO facets (subject, facet, generation, event_id, desired)
    VALUES (:subject, :facet, :generation, :event_id, :desired)
    ON CONFLICT DO UPDATE SET
        generation = excluded.generation, event_id = excluded.event_id,
        desired = CASE WHEN :deletes THEN desired ELSE excluded.desired END
"""
_SET_COVERING = """
    UPDATE subjects SET covering = :generation, covering_event_id = :event_id
    WHERE subject = :subject AND coalesce(covering, 0) <= :generation
"""


def claim(database: Database, request: ClaimRequest) -> ClaimResult:
    """Decide in the protocol's order, and take the lease if nothing is in the way."""
    record = _admitted(database, request)
    if request.admission is not None and record.digest != request.admission.digest:
        return OtherContent(record)
    if record.state is RecordState.FINISHED:
        return Finished(record)
    known = claims_of(database, str(request.subject))
    refusal = judge(request, known) or leases.obstacle(database, request) or _name_taken(database, request)
    if refusal is not None:
        return refusal
    if record.attempts >= request.max_attempts:
        return Exhausted(attempts=record.attempts, last_error=_last_word(database, record))
    return _take(database, request, record, known)


def release(database: Database, claim: Claim, *, error: str | None, waiting: Waiting | None, now: float) -> None:
    """Give the lease back, unless somebody has taken it over."""
    if leases.still_own(database, claim) is None:
        return
    epoch: Parameters = {"key": claim.key, "epoch": claim.epoch}
    if error is None:
        database.execute(_UNCOUNT_ATTEMPT, epoch)
    else:
        attempt = database.number(_KEEP_ERROR, {**epoch, "error": error})
        detail = f"attempt {attempt}: {error}"
        events.note(database, claim.key, claim.epoch, at=now, what="attempt_failed", detail=detail)
    database.execute("DELETE FROM leases WHERE subject = :subject", {"subject": str(claim.subject)})
    if waiting is not None:
        events.wait(database, claim.key, waiting, now=now)


def claims_of(database: Database, subject: str) -> Claims:
    """The generations claimed of a subject."""
    facets = database.all(
        "SELECT facet, generation, event_id, desired != 'null' AS wanted FROM facets"
        " WHERE subject = :subject ORDER BY facet",
        {"subject": subject},
    )
    row = database.one(
        "SELECT covering, covering_event_id, tombstone FROM subjects WHERE subject = :subject", {"subject": subject}
    )
    return Claims(
        facets={row["facet"]: Generation(row["generation"], row["event_id"]) for row in facets},
        covering=_covering(row),
        tombstone=None if row is None else row["tombstone"],
        wanted=frozenset(row["facet"] for row in facets if row["wanted"]),
    )


def desired_of(database: Database, subject: str) -> dict[str, Json]:
    """What is desired of a subject, by facet."""
    rows = database.all(
        "SELECT facet, desired FROM facets WHERE subject = :subject AND desired != 'null' ORDER BY facet",
        {"subject": subject},
    )
    return {row["facet"]: json.loads(row["desired"]) for row in rows}


def _admitted(database: Database, request: ClaimRequest) -> Record:
    """The record in the epoch that the request is for; admitted now if it is new."""
    record = (
        current_record(database, request.key)
        if request.epoch is None
        else record_of_epoch(database, request.key, request.epoch)
    )
    if record is None and request.admission is not None and request.epoch in (None, 1):
        return events.admit(database, request.admission)
    if record is None:
        message = f"ledger: {request.key} was never admitted in epoch {request.epoch or 1}"
        raise PermanentError(Reason.INTERNAL_ERROR, message)
    return record


def _covering(row: sqlite3.Row | None) -> Generation | None:
    if row is None or row["covering"] is None:
        return None
    return Generation(row["covering"], row["covering_event_id"])


def _name_taken(database: Database, request: ClaimRequest) -> NameTaken | None:
    for kind, name in sorted(request.names):
        owner = database.one(
            "SELECT names.subject, deleting FROM names JOIN subjects ON subjects.subject = names.subject"
            " WHERE kind = :kind AND name = :name AND names.subject != :subject",
            {"kind": kind, "name": name, "subject": str(request.subject)},
        )
        if owner is not None:
            return NameTaken(kind, name, by_subject=owner["subject"], deleting=owner["deleting"] is not None)
    return None


def _last_word(database: Database, record: Record) -> str | None:
    """The last attempt's error; None when that attempt never said one."""
    row = database.one(
        "SELECT last_error FROM epochs WHERE key = :key AND epoch = :epoch AND last_error_attempt = attempts",
        {"key": record.key, "epoch": record.epoch},
    )
    return None if row is None else row["last_error"]


def _take(database: Database, request: ClaimRequest, record: Record, known: Claims) -> Claimed:
    token, replaced = leases.take(database, request, record.epoch)
    if replaced is not None:
        detail = f"replica {replaced['replica']} ended without a word"
        events.note(database, replaced["key"], replaced["epoch"], at=request.now, what="attempt_failed", detail=detail)
    _set_generations(database, request, known)
    _reserve_names(database, request)
    epoch: Parameters = {"key": request.key, "epoch": record.epoch}
    counted = database.execute(_COUNT_ATTEMPT, {**epoch, "now": request.now}).fetchone()
    detail = f"attempt {counted['attempts']} by replica {request.replica}, token {token}"
    events.note(database, request.key, record.epoch, at=request.now, what="claimed", detail=detail)
    return Claimed(
        claim=Claim(request.key, record.epoch, request.subject, token, request.replica),
        record=replace(
            record,
            attempts=counted["attempts"],
            started_at=request.now if record.started_at is None else record.started_at,
            waiting=None,
        ),
        attempt=counted["attempts"],
        changed=bool(counted["changed"]),
        journal=_journal(database, epoch),
        sequence=events.next_sequence(database, request.key, str(request.subject)),
        generation=newest(request, known),
        desired=desired_of(database, str(request.subject)),
    )


def _set_generations(database: Database, request: ClaimRequest, known: Claims) -> None:
    subject: Parameters = {"subject": str(request.subject)}
    claimed: Parameters = {**subject, "generation": request.generation, "event_id": request.event_id}
    for facet in taken_over(request, known):
        desired = "null" if request.deletes else json_text(request.desired.get(facet))
        database.execute(_SET_FACET, {**claimed, "facet": facet, "desired": desired, "deletes": request.deletes})
    if request.creates:
        database.execute("UPDATE subjects SET tombstone = NULL WHERE subject = :subject", subject)
    if request.deletes:
        database.execute(_SET_COVERING, claimed)
        database.execute(
            "UPDATE subjects SET deleting = :key WHERE subject = :subject", {**subject, "key": request.key}
        )


def _reserve_names(database: Database, request: ClaimRequest) -> None:
    for kind, name in request.names:
        database.execute(
            "INSERT INTO names (kind, name, subject) VALUES (:kind, :name, :subject) ON CONFLICT DO NOTHING",
            {"kind": kind, "name": name, "subject": str(request.subject)},
        )


def _journal(database: Database, epoch: Parameters) -> dict[str, Json]:
    rows = database.all("SELECT step, result FROM steps WHERE key = :key AND epoch = :epoch ORDER BY position", epoch)
    return {row["step"]: json.loads(row["result"]) for row in rows}
