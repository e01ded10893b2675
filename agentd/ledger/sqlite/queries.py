"""What only reads. Each function is one operation on one state of the file."""

import math

from agentd.core import Subject
from agentd.ledger.protocol import Held, LedgerStats, OutboxEntry, Record, StepRecord, SubjectState, Transition
from agentd.ledger.sqlite.connection import Database
from agentd.ledger.sqlite.events import HISTORY_LIMIT
from agentd.ledger.sqlite.rows import (
    EVENTS,
    Holding,
    claims_of,
    facets_of,
    holding,
    record_from,
    record_of_epoch,
    steps_from,
    transitions_from,
)

FOUND_LIMIT = 50


def outbox(database: Database, limit: int) -> list[OutboxEntry]:
    """The oldest reports, each with its own epoch's record."""
    rows = database.all("SELECT report_id, key, epoch FROM reports ORDER BY position LIMIT ?", (limit,))
    found = [(row[0], record_of_epoch(database, row[1], row[2])) for row in rows]
    return [
        OutboxEntry(report_id, record.sequence, record)
        for report_id, record in found
        if record is not None and record.sequence is not None
    ]


def history(database: Database, key: str) -> list[Transition]:
    """What happened to an event, oldest first."""
    row = database.one("SELECT history FROM events WHERE key = ?", (key,))
    return [] if row is None else transitions_from(row[0])[-HISTORY_LIMIT:]


def steps(database: Database, key: str) -> list[StepRecord]:
    """The journal of the current epoch, oldest first."""
    row = database.one("SELECT steps, epoch FROM events WHERE key = ?", (key,))
    return [] if row is None else steps_from(row[0], row[1])


def find(database: Database, text: str) -> list[Record]:
    """Records that a text names, newest first."""
    rows = database.all(
        f"{EVENTS} WHERE key IN (:text, 'event/' || :text, 'message/' || :text)"
        " OR (event_id = :text AND key >= 'message/') OR (subject = :text AND :text != '')"
        " ORDER BY admitted_at DESC, key LIMIT :limit",
        {"text": text, "limit": FOUND_LIMIT},
    )
    return [record_from(database, row) for row in rows]


def subject_state(database: Database, subject: Subject) -> SubjectState | None:
    """What is known of a subject."""
    own = holding(database, str(subject))
    newest = database.all(
        "SELECT key FROM events WHERE subject = ? AND key GLOB 'event/*' ORDER BY admitted_at DESC, key LIMIT ?",
        (own.subject, FOUND_LIMIT),
    )
    if not own.token and not newest:
        return None
    facets = facets_of(own)
    claims = claims_of(own, facets)
    names = database.all("SELECT kind, name FROM reserved_names WHERE subject = ? ORDER BY kind, name", (own.subject,))
    return SubjectState(
        subject=own.subject,
        token=own.token,
        facets={facet: claimed.number for facet in claims.facets if (claimed := claims.of(facet))},
        desired={name: facet.desired for name, facet in facets.items() if facet.desired is not None},
        tombstone=own.tombstone,
        names=tuple((row[0], row[1]) for row in names),
        held_by=_holder(own),
        events=tuple(row[0] for row in newest),
    )


def wanted(database: Database, *, after: str, limit: int) -> list[str]:
    """Subjects that have not been deleted and of which something has been claimed."""
    rows = database.all(
        "SELECT subject FROM holdings WHERE subject > ? AND facets != '{}' AND tombstone IS NULL ORDER BY subject LIMIT ?",
        (after, limit),
    )
    return [row[0] for row in rows]


def events_of(database: Database, subject: Subject, *, before: Record | None, limit: int) -> list[Record]:
    """A subject's verified events, newest first."""
    at, key = (math.inf, "") if before is None else (before.admitted_at, before.key)
    rows = database.all(
        f"{EVENTS} WHERE subject = :subject AND key GLOB 'event/*'"
        " AND admitted_at <= :at AND (admitted_at < :at OR key > :key)"
        " ORDER BY admitted_at DESC, key LIMIT :limit",
        {"subject": str(subject), "at": at, "key": key, "limit": limit},
    )
    return [record_from(database, row) for row in rows]


def stats(database: Database) -> LedgerStats:
    """Counts over the whole ledger."""
    waiting = database.all(
        "SELECT waiting_why AS why, count(*) AS events, min(admitted_at) AS oldest FROM events"
        " WHERE finished_at IS NULL GROUP BY waiting_why"
    )
    open_events = sum(row["events"] for row in waiting)
    return LedgerStats(
        open_events=open_events,
        finished_events=database.number("SELECT count(*) FROM events WHERE finished_at IS NOT NULL"),
        outbox=database.number("SELECT count(*) FROM reports"),
        leases=database.number(
            "SELECT count(*) FROM holdings WHERE lease_key IS NOT NULL"
            " AND subject IN (SELECT subject FROM events WHERE finished_at IS NULL)"
        ),
        subjects=database.number("SELECT count(*) FROM holdings WHERE token > 0"),
        tombstones=database.number("SELECT count(*) FROM holdings WHERE tombstone IS NOT NULL"),
        oldest_open_at=min((row["oldest"] for row in waiting), default=None),
        waiting={row["why"]: row["events"] for row in waiting if row["why"] is not None},
    )


def _holder(own: Holding) -> Held | None:
    if own.lease_key is None or own.lease_replica is None:
        return None
    return Held(own.lease_key, own.lease_replica, own.subject, own.lease_until)
