"""Leases: who works on a subject, and for how long. Each public function is one operation, or part of one.

A lease is a write lock on its own subject; `locks` holds the others, which live and die with it. A lease is valid
while its `until` lies ahead of the caller's clock; one that has ended stays until somebody takes the subject over.
"""

import sqlite3
from collections.abc import Sequence

from agentd.core import LockMode
from agentd.ledger.protocol import Claim, ClaimRequest, Held, Json, Renewal
from agentd.ledger.sqlite.connection import Database, Parameters
from agentd.ledger.sqlite.rows import json_text

# A lease or lock of somebody else on :subject that is in the way of :mode. The asker's own is not.
_IN_THE_WAY = """
    SELECT key, replica, until, generation FROM leases
    WHERE subject = :subject AND until > :now AND NOT (key = :key AND replica = :replica)
    UNION ALL
    SELECT leases.key, leases.replica, leases.until, NULL
    FROM locks JOIN leases ON leases.subject = locks.lease
    WHERE locks.subject = :subject AND until > :now AND NOT (key = :key AND replica = :replica)
        AND (locks.mode = 'write' OR :mode = 'write')
    ORDER BY until DESC LIMIT 1
"""
_OWN = """
    SELECT * FROM leases
    WHERE subject = :subject AND token = :token AND key = :key AND epoch = :epoch AND replica = :replica
"""


def wanted(request: ClaimRequest) -> dict[str, LockMode]:
    """The declared locks by subject, in order; the request's own subject, which its lease locks, not among them."""
    # Of two locks on one subject the write lock sorts last, and stays.
    return {str(lock.subject): lock.mode for lock in sorted(request.locks) if lock.subject != request.subject}


def obstacle(database: Database, request: ClaimRequest) -> Held | None:
    """What is in the way of the lease or of a declared lock. A delete marks the older holder of its subject."""
    asker: Parameters = {"key": request.key, "replica": request.replica, "now": request.now}
    for subject, mode in {str(request.subject): LockMode.WRITE, **wanted(request)}.items():
        row = database.one(_IN_THE_WAY, {**asker, "subject": subject, "mode": mode.value})
        if row is not None:
            _preempt(database, request)
            return Held(by_key=row["key"], by_replica=row["replica"], subject=subject, until=row["until"])
    return None


def take(database: Database, request: ClaimRequest, epoch: int) -> tuple[int, sqlite3.Row | None]:
    """Write the lease down under a new token. The token, and the lease that was replaced."""
    subject = str(request.subject)
    replaced = database.one("SELECT * FROM leases WHERE subject = :subject", {"subject": subject})
    database.execute("DELETE FROM leases WHERE subject = :subject", {"subject": subject})
    token = database.number(
        "INSERT INTO subjects (subject, token) VALUES (:subject, 1)"
        " ON CONFLICT DO UPDATE SET token = token + 1 RETURNING token",
        {"subject": subject},
    )
    database.execute(
        "INSERT INTO leases (subject, key, epoch, token, replica, generation, until)"
        " VALUES (:subject, :key, :epoch, :token, :replica, :generation, :until)",
        {
            "subject": subject,
            "key": request.key,
            "epoch": epoch,
            "token": token,
            "replica": request.replica,
            "generation": request.generation,
            "until": request.until,
        },
    )
    for locked, mode in wanted(request).items():
        database.execute(
            "INSERT INTO locks (subject, lease, mode) VALUES (:locked, :subject, :mode)",
            {"locked": locked, "subject": subject, "mode": mode.value},
        )
    return token, replaced


def valid(database: Database, claim: Claim, *, now: float) -> sqlite3.Row | None:
    """The claim's lease, if it has neither ended nor been taken over."""
    row = still_own(database, claim)
    return row if row is not None and row["until"] > now else None


def still_own(database: Database, claim: Claim) -> sqlite3.Row | None:
    """The claim's lease, if nobody has taken it over, ended or not."""
    return database.one(
        _OWN,
        {
            "subject": str(claim.subject),
            "token": claim.token,
            "key": claim.key,
            "epoch": claim.epoch,
            "replica": claim.replica,
        },
    )


def renew(database: Database, claims: Sequence[Claim], *, now: float, until: float) -> list[Renewal]:
    """Extend the leases that are valid; none is ever shortened."""
    renewals = []
    for claim in claims:
        row = valid(database, claim, now=now)
        if row is not None:
            database.execute(
                "UPDATE leases SET until = max(until, :until) WHERE subject = :subject",
                {"subject": row["subject"], "until": until},
            )
        renewals.append(renewal(row))
    return renewals


def intend(database: Database, claim: Claim, obj: str, *, stamp: bool, now: float) -> Renewal:
    """Note what the event is about to write to."""
    row = valid(database, claim, now=now)
    if row is not None:
        epoch: Parameters = {"key": claim.key, "epoch": claim.epoch}
        database.execute(
            "INSERT INTO objects (key, epoch, name) VALUES (:key, :epoch, :name) ON CONFLICT DO NOTHING",
            {**epoch, "name": obj},
        )
        if not stamp:
            database.execute("UPDATE epochs SET changed = 1 WHERE key = :key AND epoch = :epoch", epoch)
    return renewal(row)


def record_step(database: Database, claim: Claim, step: str, result: Json, *, now: float) -> Renewal:
    """Note a finished step; one that was done again has its newest result."""
    row = valid(database, claim, now=now)
    if row is not None:
        database.execute(
            "INSERT INTO steps (key, epoch, step, result, at) VALUES (:key, :epoch, :step, :result, :now)"
            " ON CONFLICT DO UPDATE SET result = excluded.result, at = excluded.at",
            {"key": claim.key, "epoch": claim.epoch, "step": step, "result": json_text(result), "now": now},
        )
    return renewal(row)


def renewal(row: sqlite3.Row | None) -> Renewal:
    """What a holder is told of its lease."""
    return Renewal(valid=False) if row is None else Renewal(valid=True, preempted_by=row["preempted_by"])


def _preempt(database: Database, request: ClaimRequest) -> None:
    if request.deletes:
        database.execute(
            "UPDATE leases SET preempted_by = :key"
            " WHERE subject = :subject AND until > :now AND generation < :generation"
            " AND NOT (key = :key AND replica = :replica)",
            {
                "key": request.key,
                "subject": str(request.subject),
                "now": request.now,
                "generation": request.generation,
                "replica": request.replica,
            },
        )
