"""What only reads. Each function is one operation on one state of the file."""

from agentd.core import Subject
from agentd.ledger.protocol import Held, LedgerStats, OutboxEntry, Record, StepRecord, SubjectState, Transition
from agentd.ledger.sqlite.claims import claims_of, desired_of
from agentd.ledger.sqlite.connection import Database, Parameters
from agentd.ledger.sqlite.rows import CURRENT, RECORDS, record_from, step_from, transition_from

FOUND_LIMIT = 50


def outbox(database: Database, limit: int) -> list[OutboxEntry]:
    """The oldest reports, each with its own epoch's record."""
    rows = database.all(
        f"{RECORDS} JOIN outbox ON outbox.key = epochs.key AND outbox.epoch = epochs.epoch"
        " ORDER BY outbox.position LIMIT :limit",
        {"limit": limit},
    )
    return [OutboxEntry(row["report_id"], row["sequence"], record_from(database, row)) for row in rows]


def history(database: Database, key: str) -> list[Transition]:
    """What happened to an event, oldest first."""
    rows = database.all("SELECT * FROM transitions WHERE key = :key ORDER BY position", {"key": key})
    return [transition_from(row) for row in rows]


def steps(database: Database, key: str) -> list[StepRecord]:
    """The journal of the current epoch, oldest first."""
    rows = database.all(
        "SELECT steps.* FROM steps JOIN records ON records.key = steps.key AND records.epoch = steps.epoch"
        " WHERE steps.key = :key ORDER BY position",
        {"key": key},
    )
    return [step_from(row) for row in rows]


def find(database: Database, text: str) -> list[Record]:
    """Records that a text names, newest first."""
    rows = database.all(
        f"{CURRENT} WHERE records.key IN (:text, 'event/' || :text, 'message/' || :text)"
        " OR records.event_id = :text OR (records.subject = :text AND :text != '')"
        " ORDER BY records.admitted_at DESC, records.key LIMIT :limit",
        {"text": text, "limit": FOUND_LIMIT},
    )
    return [record_from(database, row) for row in rows]


def subject_state(database: Database, subject: Subject) -> SubjectState | None:
    """What is known of a subject."""
    name: Parameters = {"subject": str(subject)}
    row = database.one("SELECT token, tombstone FROM subjects WHERE subject = :subject", name)
    newest = database.all(
        "SELECT key FROM records WHERE subject = :subject AND key GLOB 'event/*'"
        " ORDER BY admitted_at DESC, key LIMIT :limit",
        {**name, "limit": FOUND_LIMIT},
    )
    if row is None and not newest:
        return None
    claims = claims_of(database, str(subject))
    names = database.all("SELECT kind, name FROM names WHERE subject = :subject ORDER BY kind, name", name)
    return SubjectState(
        subject=str(subject),
        token=0 if row is None else row["token"],
        facets={facet: claimed.number for facet in claims.facets if (claimed := claims.of(facet))},
        desired=desired_of(database, str(subject)),
        tombstone=claims.tombstone,
        names=tuple((row["kind"], row["name"]) for row in names),
        held_by=_holder(database, str(subject)),
        events=tuple(row["key"] for row in newest),
    )


def stats(database: Database) -> LedgerStats:
    """Counts over the whole ledger."""
    waiting = database.all(
        "SELECT waiting_why, count(*) AS events FROM epochs WHERE finished_at IS NULL GROUP BY waiting_why"
    )
    open_events = sum(row["events"] for row in waiting)
    oldest = database.one(
        "SELECT min(admitted_at) AS at FROM records WHERE key IN (SELECT key FROM epochs WHERE finished_at IS NULL)"
    )
    return LedgerStats(
        open_events=open_events,
        finished_events=database.number("SELECT count(*) FROM records") - open_events,
        outbox=database.number("SELECT count(*) FROM outbox"),
        leases=database.number("SELECT count(*) FROM leases"),
        subjects=database.number("SELECT count(*) FROM subjects"),
        tombstones=database.number("SELECT count(*) FROM subjects WHERE tombstone IS NOT NULL"),
        oldest_open_at=None if oldest is None else oldest["at"],
        waiting={row["waiting_why"]: row["events"] for row in waiting if row["waiting_why"] is not None},
    )


def _holder(database: Database, subject: str) -> Held | None:
    row = database.one("SELECT key, replica, until FROM leases WHERE subject = :subject", {"subject": subject})
    return None if row is None else Held(row["key"], row["replica"], subject, row["until"])
