"""Leases: who works on a subject, and for how long. Each public function is one operation, or part of one.

A lease is a write lock on its own subject; `held_locks` has the others, which live and die with it. A lease is valid
while its `until` lies ahead of the caller's clock; one that has ended stays until somebody takes the subject over.
"""

from collections.abc import Sequence

from agentd.core import LockMode, Subject
from agentd.ledger.protocol import Claim, ClaimRequest, Held, Json, Renewal
from agentd.ledger.sqlite.connection import Database
from agentd.ledger.sqlite.rows import Holding, holding, item, line

_LOCKS = """
    SELECT lease_key, lease_replica, lease_until, mode FROM held_locks JOIN holdings ON holdings.subject = lease
    WHERE held_locks.subject = ? AND lease_until > ?
"""
_RENEW = """
    UPDATE holdings SET lease_until = max(lease_until, ?)
    WHERE subject = ? AND token = ? AND lease_key = ? AND lease_epoch = ? AND lease_replica = ? AND lease_until > ?
    RETURNING preempted_by
"""


def wanted(request: ClaimRequest) -> dict[str, LockMode]:
    """The declared locks by subject, in order; the request's own subject, which its lease locks, not among them."""
    # Of two locks on one subject the write lock sorts last, and stays.
    return {str(lock.subject): lock.mode for lock in sorted(request.locks) if lock.subject != request.subject}


def obstacle(database: Database, request: ClaimRequest, own: Holding) -> Held | None:
    """What is in the way of the lease or of a declared lock. A delete marks the older holder of its subject."""
    found = _in_the_way(database, request, own, LockMode.WRITE)
    for subject, mode in wanted(request).items():
        found = found or _in_the_way(database, request, holding(database, subject), mode)
    if found is not None:
        _preempt(database, request, own)
    return found


def take_locks(database: Database, request: ClaimRequest) -> int:
    """Write the declared locks down; how many."""
    locks = wanted(request)
    for locked, mode in locks.items():
        database.execute(
            "INSERT INTO held_locks (subject, lease, mode) VALUES (?, ?, ?)",
            (locked, str(request.subject), mode.value),
        )
    return len(locks)


def valid(database: Database, claim: Claim, *, now: float) -> Holding | None:
    """The claim's lease, if it has neither ended nor been taken over."""
    held = holding(database, str(claim.subject))
    return held if held.is_of(claim) and held.lease_until > now else None


def renew(database: Database, claims: Sequence[Claim], *, now: float, until: float) -> list[Renewal]:
    """Extend the leases that are valid; none is ever shortened."""
    renewals = []
    for claim in claims:
        row = database.one(_RENEW, (until, str(claim.subject), claim.token, claim.key, claim.epoch, claim.replica, now))
        renewals.append(Renewal(valid=False) if row is None else Renewal(valid=True, preempted_by=row[0]))
    return renewals


def intend(database: Database, claim: Claim, obj: str, *, stamp: bool, now: float) -> Renewal:
    """Note what the event is about to write to."""
    held = valid(database, claim, now=now)
    if held is not None:
        name = item(obj)
        database.execute(
            "UPDATE events SET changed = changed OR ?, objects = iif(instr(objects, ?), objects, objects || ?)"
            " WHERE key = ? AND epoch = ?",
            (not stamp, name, name, claim.key, claim.epoch),
        )
    return renewal(held)


def record_step(database: Database, claim: Claim, step: str, result: Json, *, now: float) -> Renewal:
    """Note a finished step."""
    done = line(step, result, now)
    held = valid(database, claim, now=now)
    if held is not None:
        database.execute(
            "UPDATE events SET steps = steps || ? WHERE key = ? AND epoch = ?", (done, claim.key, claim.epoch)
        )
    return renewal(held)


def next_sequence(database: Database, subject: Subject) -> int:
    """A number of the subject's counter."""
    own = holding(database, str(subject))
    number = own.next_sequence()
    own.save(database)
    return number


def renewal(held: Holding | None) -> Renewal:
    """What a holder is told of its lease."""
    return Renewal(valid=False) if held is None else Renewal(valid=True, preempted_by=held.preempted_by)


def _in_the_way(database: Database, request: ClaimRequest, held: Holding, mode: LockMode) -> Held | None:
    """Somebody else's lease or lock on the subject that lasts longest; the asker's own is in nobody's way."""
    asker = (request.key, request.replica)
    rivals = [
        (row[2], row[0], row[1])
        for row in database.all(_LOCKS, (held.subject, request.now))
        if (row[0], row[1]) != asker and LockMode.WRITE in (mode, row[3])
    ]
    if held.lease_key is not None and held.lease_until > request.now and (held.lease_key, held.lease_replica) != asker:
        rivals.append((held.lease_until, held.lease_key, held.lease_replica))
    if not rivals:
        return None
    until, key, replica = max(rivals)
    return Held(by_key=key, by_replica=replica, subject=held.subject, until=until)


def _preempt(database: Database, request: ClaimRequest, own: Holding) -> None:
    is_other = own.lease_key is not None and (own.lease_key, own.lease_replica) != (request.key, request.replica)
    if request.deletes and is_other and own.lease_until > request.now and own.lease_generation < request.generation:
        own.preempted_by = request.key
        own.save(database)
