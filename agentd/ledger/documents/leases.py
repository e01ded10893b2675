"""Leases: who works on a subject, and for how long.

A lease is kept in the open epoch of its event, so that renewing it, noting an intention or a step, and giving it back touch
one document. A subject's entry refers to the lease that holds it, and to those that lock it; a reference is worth what the
epoch that it names says, and costs nothing to leave behind.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agentd.core import LockMode, Subject
from agentd.ledger.documents import records
from agentd.ledger.documents.shapes import Lease, OpenEpoch, Ref, SubjectEntry
from agentd.ledger.documents.store import Place
from agentd.ledger.documents.transaction import Transaction
from agentd.ledger.protocol import Claim, ClaimRequest, Held, Json, Renewal, StepRecord, Waiting

LOST = Renewal(valid=False)


async def renew(txn: Transaction, claims: Sequence[Claim], *, now: float, until: float) -> list[Renewal]:
    """Extend the leases that are valid; none is ever shortened."""
    await txn.read(txn.places.open(claim.key) for claim in claims)
    renewals = []
    for claim in claims:
        opened, lease = _of(txn, claim, now=now)
        if opened is not None and lease is not None and lease.until < until:
            txn.put(txn.places.open(claim.key), replace(opened, lease=replace(lease, until=until)))
        renewals.append(renewal(lease))
    return renewals


async def intend(txn: Transaction, claim: Claim, obj: str, *, stamp: bool, now: float) -> Renewal:
    """Note what the event is about to write to."""
    await txn.read([txn.places.open(claim.key)])
    opened, lease = _of(txn, claim, now=now)
    if opened is None or lease is None:
        return LOST
    objects = opened.objects if obj in opened.objects else (*opened.objects, obj)
    after = replace(opened, objects=objects, changed=opened.changed or not stamp)
    if after != opened:
        txn.put(txn.places.open(claim.key), after)
    return renewal(lease)


async def record_step(txn: Transaction, claim: Claim, step: str, result: Json, *, now: float) -> Renewal:
    """Note a finished step; one that was done again has its newest result, in the place of the first."""
    await txn.read([txn.places.open(claim.key)])
    opened, lease = _of(txn, claim, now=now)
    if opened is None or lease is None:
        return LOST
    steps = {known.step: known for known in opened.steps} | {step: StepRecord(claim.epoch, step, result, now)}
    txn.put(txn.places.open(claim.key), replace(opened, steps=tuple(steps.values())))
    return renewal(lease)


async def next_sequence(txn: Transaction, subject: Subject) -> int:
    """A number of the subject's counter."""
    place = txn.places.subject(str(subject))
    await txn.read([place])
    entry = entry_of(txn, str(subject))
    txn.put(place, replace(entry, sequence=entry.sequence + 1))
    return entry.sequence + 1


async def release(txn: Transaction, claim: Claim, *, error: str | None, waiting: Waiting | None, now: float) -> None:
    """Give the lease back, unless somebody has taken it over."""
    place = txn.places.open(claim.key)
    await txn.read([place])
    opened = txn.find(OpenEpoch, place)
    if opened is None or opened.lease_of(claim) is None:
        return
    after = replace(opened, lease=None)
    if error is None:
        after = replace(after, attempts=after.attempts - 1)
    else:
        after = replace(after, last_error=error, last_error_attempt=after.attempts)
        after = after.noted("attempt_failed", f"attempt {after.attempts}: {error}", at=now)
    txn.put(place, after if waiting is None else records.put_off(after, waiting, now=now))


def renewal(lease: Lease | None) -> Renewal:
    """What a holder is told of its lease."""
    return LOST if lease is None else Renewal(valid=True, preempted_by=lease.preempted_by)


def wanted(request: ClaimRequest) -> dict[str, LockMode]:
    """The declared locks by subject, in order; the request's own subject, which its lease locks, not among them."""
    # Of two locks on one subject the write lock sorts last, and stays.
    return {str(lock.subject): lock.mode for lock in sorted(request.locks) if lock.subject != request.subject}


@dataclass(frozen=True, slots=True)
class Standing:
    """What others hold of one subject, and what of it is in the way of `mode`."""

    subject: str
    entry: SubjectEntry
    mode: LockMode
    obstacle: Held | None
    alive: tuple[Ref, ...]
    """Locks that are still worth something."""
    pending: tuple[str, ...]
    """Keys of those who are about to hold what would be in the way, and have not got it yet."""


def referred_to(txn: Transaction, entries: Iterable[SubjectEntry]) -> list[Place]:
    """The open epochs that entries refer to."""
    return [txn.places.open(ref.key) for entry in entries for ref in _refs(entry)]


def standing(txn: Transaction, request: ClaimRequest, modes: Mapping[str, LockMode]) -> list[Standing]:
    """How things stand on each subject. What its entry refers to has been read."""
    return [_standing(txn, request, subject, mode) for subject, mode in modes.items()]


def entry_of(txn: Transaction, subject: str) -> SubjectEntry:
    """What is known of a subject, which has been read."""
    return txn.find(SubjectEntry, txn.places.subject(subject)) or SubjectEntry()


def holder(txn: Transaction, entry: SubjectEntry) -> tuple[str, OpenEpoch, Lease] | None:
    """Whose lease the subject is held by, ended or not. What the entry refers to has been read."""
    ref = entry.holder
    opened = None if ref is None else txn.find(OpenEpoch, txn.places.open(ref.key))
    if ref is None or opened is None or opened.lease is None or opened.lease.id != ref.lease:
        return None
    return ref.key, opened, opened.lease


def lock(txn: Transaction, found: Standing, ref: Ref) -> None:
    """Add a lock, and drop those that are worth nothing any more."""
    txn.put(txn.places.subject(found.subject), replace(found.entry, locks=(*found.alive, ref)))


def overtake(txn: Transaction, found: Standing) -> None:
    """Let those begin anew who are about to hold what would be in the way."""
    for key in found.pending:
        opened = txn.find(OpenEpoch, txn.places.open(key))
        if opened is not None:
            txn.put(txn.places.open(key), replace(opened, pending=None))


def _refs(entry: SubjectEntry) -> tuple[Ref, ...]:
    return entry.locks if entry.holder is None else (entry.holder, *entry.locks)


def _of(txn: Transaction, claim: Claim, *, now: float) -> tuple[OpenEpoch | None, Lease | None]:
    opened = txn.find(OpenEpoch, txn.places.open(claim.key))
    return opened, None if opened is None else opened.valid_lease_of(claim, now=now)


def _standing(txn: Transaction, request: ClaimRequest, subject: str, mode: LockMode) -> Standing:
    entry = entry_of(txn, subject)
    obstacles: list[Held] = []
    pending: list[str] = []
    for ref in _refs(entry):
        opened = txn.find(OpenEpoch, txn.places.open(ref.key))
        excludes = LockMode.WRITE in (ref.mode, mode)
        if opened is None or not excludes:
            continue
        lease = opened.lease
        if lease is not None and lease.id == ref.lease and _in_the_way(request, ref.key, lease):
            obstacles.append(Held(by_key=ref.key, by_replica=lease.replica, subject=subject, until=lease.until))
        if opened.pending == ref.lease and ref.key != request.key:
            pending.append(ref.key)
    return Standing(
        subject=subject,
        entry=entry,
        mode=mode,
        obstacle=max(obstacles, key=lambda held: held.until, default=None),
        alive=tuple(ref for ref in entry.locks if _is_alive(txn, ref)),
        pending=tuple(pending),
    )


def _in_the_way(request: ClaimRequest, key: str, lease: Lease) -> bool:
    return lease.until > request.now and (key, lease.replica) != (request.key, request.replica)


def _is_alive(txn: Transaction, ref: Ref) -> bool:
    opened = txn.find(OpenEpoch, txn.places.open(ref.key))
    if opened is None:
        return False
    return ref.lease == opened.pending or (opened.lease is not None and ref.lease == opened.lease.id)
