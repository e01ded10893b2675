"""The claim, decided and carried out in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentd.core import LockMode, PermanentError, Reason
from agentd.ledger.documents import counts, leases, records
from agentd.ledger.documents.records import Known
from agentd.ledger.documents.shapes import Desired, Lease, NameOwner, OpenEpoch, Pointer, Ref, SubjectEntry
from agentd.ledger.documents.store import Conflicted
from agentd.ledger.documents.transaction import Transaction
from agentd.ledger.judgement import Claims, Generation, desired_after, judge, newest, sequence_counter, taken_over
from agentd.ledger.protocol import (
    Claim,
    Claimed,
    ClaimRequest,
    ClaimResult,
    Exhausted,
    Finished,
    Held,
    NameTaken,
    OtherContent,
)


@dataclass(frozen=True, slots=True)
class Ready:
    """Nothing is in the way."""

    found: Known
    opened: OpenEpoch
    entry: SubjectEntry
    desired: Desired
    claims: Claims
    standing: Sequence[leases.Standing]


async def claim(txn: Transaction, request: ClaimRequest) -> ClaimResult:
    """Decide in the protocol's order, and take the lease if nothing is in the way."""
    answer = await decide(txn, request, leases.wanted(request))
    if not isinstance(answer, Ready):
        return answer
    for found in answer.standing[1:]:
        leases.lock(txn, found, Ref(request.key, txn.id, found.mode))
    return await take(txn, request, answer, txn.id)


async def decide(
    txn: Transaction, request: ClaimRequest, locks: dict[str, LockMode], locked: Held | None = None
) -> ClaimResult | Ready:
    """What is in the way. `locked` is what is known to be in the way of locks that are not looked at here."""
    subject, places = str(request.subject), txn.places
    await txn.read(
        [
            *records.places_of(places, request.key),
            places.subject(subject),
            places.desired(subject),
            *(places.name(kind, name) for kind, name in request.names),
            *(places.subject(other) for other in locks),
        ]
    )
    found = await _admitted(txn, request)
    record = await records.record_of_epoch(txn, found, request.epoch or found.epoch.epoch)
    if record is None:
        raise PermanentError(Reason.INTERNAL_ERROR, f"ledger: {request.key} has no epoch {request.epoch}")
    if request.admission is not None and record.digest != request.admission.digest:
        return OtherContent(record)
    if found.open is None or found.open.epoch != record.epoch:
        return Finished(record)
    entry, desired = leases.entry_of(txn, subject), desired_of(txn, subject)
    _refuse_older(entry, found.open, subject)
    claims = claims_of(entry, desired)
    standing = await _standing(txn, request, {subject: LockMode.WRITE, **locks})
    return (
        judge(request, claims)
        or _held(txn, request, standing, locked)
        or await name_taken(txn, request)
        or _exhausted(request, found.open)
        or Ready(found, found.open, entry, desired, claims, standing)
    )


def claims_of(entry: SubjectEntry, desired: Desired) -> Claims:
    """The generations claimed of a subject."""
    return Claims(
        facets=entry.facets,
        covering=entry.covering,
        tombstone=entry.tombstone,
        wanted=frozenset(desired.facets),
    )


def desired_of(txn: Transaction, subject: str) -> Desired:
    """What is desired of a subject that has been read. Conflicted: the entry was read before or after a change of it."""
    place = txn.places.desired(subject)
    if leases.entry_of(txn, subject).desired != txn.written_by(place):
        raise Conflicted
    return txn.find(Desired, place) or Desired()


def _refuse_older(entry: SubjectEntry, opened: OpenEpoch, subject: str) -> None:
    """Conflicted when the entry was read before the event's lease was written, of which it would tell."""
    lease = opened.lease
    if lease is not None and lease.subject == subject and (entry.holder is None or entry.holder.lease != lease.id):
        raise Conflicted


async def _admitted(txn: Transaction, request: ClaimRequest) -> Known:
    """What is known of the event; it is admitted now if it is new."""
    found = await records.known(txn, request.key)
    if found is not None:
        return found
    if request.admission is not None and request.epoch in (None, 1):
        return records.admit_new(txn, request.admission)
    raise records.never_admitted(request.key)


async def _standing(txn: Transaction, request: ClaimRequest, modes: dict[str, LockMode]) -> list[leases.Standing]:
    await txn.read(leases.referred_to(txn, [leases.entry_of(txn, subject) for subject in modes]))
    return leases.standing(txn, request, modes)


def _held(
    txn: Transaction, request: ClaimRequest, standing: Sequence[leases.Standing], locked: Held | None
) -> Held | None:
    """The first obstacle. A delete that meets one marks the older holder of its subject."""
    obstacle = next((each.obstacle for each in standing if each.obstacle is not None), locked)
    if obstacle is not None and request.deletes:
        _preempt(txn, request, standing[0].entry)
    return obstacle


def _exhausted(request: ClaimRequest, opened: OpenEpoch) -> Exhausted | None:
    if opened.attempts < request.max_attempts:
        return None
    said = opened.last_error if opened.last_error_attempt == opened.attempts else None
    return Exhausted(attempts=opened.attempts, last_error=said)


def _preempt(txn: Transaction, request: ClaimRequest, entry: SubjectEntry) -> None:
    held = leases.holder(txn, entry)
    if held is None:
        return
    key, opened, lease = held
    others = lease.until > request.now and (key, lease.replica) != (request.key, request.replica)
    if others and lease.generation < request.generation and lease.preempted_by != request.key:
        txn.put(txn.places.open(key), replace(opened, lease=replace(lease, preempted_by=request.key)))


async def name_taken(txn: Transaction, request: ClaimRequest) -> NameTaken | None:
    """The first of its names that belongs to another subject. They must have been read."""
    places, own = txn.places, str(request.subject)
    owners = {named: txn.find(NameOwner, places.name(*named)) for named in sorted(request.names)}
    taken = {named: owner.subject for named, owner in owners.items() if owner is not None and owner.subject != own}
    await txn.read(places.subject(subject) for subject in taken.values())
    for (kind, name), subject in taken.items():
        deleting = leases.entry_of(txn, subject).deleting is not None
        return NameTaken(kind, name, by_subject=subject, deleting=deleting)
    return None


async def take(txn: Transaction, request: ClaimRequest, ready: Ready, lease_id: str) -> Claimed:
    """Carry the claim out, under a lease of this id."""
    for found in ready.standing:
        leases.overtake(txn, found)
    subject = str(request.subject)
    token = ready.entry.token + 1
    lease = Lease(lease_id, subject, token, request.replica, request.generation, request.until)
    opened = _attempt(_replace(txn, request, ready), request, lease)
    desired = _desire(txn, request, ready)
    entry = replace(
        _claimed(request, ready, written=None if desired == ready.desired else txn.id),
        token=token,
        holder=Ref(request.key, lease_id),
        locks=ready.standing[0].alive,
    )
    if sequence_counter(request.key, subject) == request.key:
        opened = replace(opened, counter=opened.counter + 1)
        sequence = opened.counter
    else:
        entry = replace(entry, sequence=entry.sequence + 1)
        sequence = entry.sequence
    txn.put(txn.places.open(request.key), opened)
    txn.put(txn.places.subject(subject), entry)
    _reserve_names(txn, request)
    lifted = ready.entry.tombstone is not None and entry.tombstone is None
    await counts.add(txn, subjects=int(ready.entry.token == 0), tombstones=-int(lifted))
    return Claimed(
        claim=Claim(request.key, opened.epoch, request.subject, token, request.replica),
        record=records.record_of(ready.found.admitted, opened),
        attempt=opened.attempts,
        changed=opened.changed,
        journal={step.step: step.result for step in opened.steps},
        sequence=sequence,
        generation=newest(request, ready.claims),
        desired=desired.facets,
    )


def _replace(txn: Transaction, request: ClaimRequest, ready: Ready) -> OpenEpoch:
    """End the lease that the subject is still held by, if any. The request's own epoch as it then is."""
    held = leases.holder(txn, ready.entry)
    if held is None:
        return ready.opened
    key, opened, lease = held
    ended = replace(opened, lease=None).noted(
        "attempt_failed", f"replica {lease.replica} ended without a word", at=request.now
    )
    if key == request.key:
        return ended
    txn.put(txn.places.open(key), ended)
    return ready.opened


def _attempt(opened: OpenEpoch, request: ClaimRequest, lease: Lease) -> OpenEpoch:
    """With one attempt more; its journal is empty once another event has had the subject in between."""
    attempts = opened.attempts + 1
    counted = replace(
        opened,
        attempts=attempts,
        steps=opened.steps if opened.token == lease.token - 1 else (),
        token=lease.token,
        started_at=request.now if opened.started_at is None else opened.started_at,
        waiting=None,
        lease=lease,
        pending=None,
    )
    detail = f"attempt {attempts} by replica {request.replica}, token {lease.token}"
    return counted.noted("claimed", detail, at=request.now)


def _claimed(request: ClaimRequest, ready: Ready, *, written: str | None) -> SubjectEntry:
    """The subject's entry with what the event claims; `written` is the write that changes what is desired."""
    before, claimed = ready.entry, Generation(request.generation, request.event_id)
    covers = request.deletes and (before.covering is None or before.covering.number <= request.generation)
    return replace(
        before,
        facets={**before.facets, **dict.fromkeys(taken_over(request, ready.claims), claimed)},
        covering=claimed if covers else before.covering,
        deleting=request.key if request.deletes else before.deleting,
        tombstone=None if request.creates else before.tombstone,
        names=tuple(sorted({*before.names, *request.names})),
        desired=written or before.desired,
    )


def _desire(txn: Transaction, request: ClaimRequest, ready: Ready) -> Desired:
    """What is desired of the subject from now on. A delete leaves it as it is until it succeeds."""
    if request.deletes:
        return ready.desired
    after = Desired(desired_after(request, ready.claims, ready.desired.facets))
    if after != ready.desired:
        txn.put(txn.places.desired(str(request.subject)), after)
        list_wanted(txn, str(request.subject), ready.desired, after)
    return after


def list_wanted(txn: Transaction, subject: str, before: Desired, after: Desired) -> None:
    """Keep the list of subjects of which something is desired: it changes with the first thing, and with the last."""
    if after.facets and not before.facets:
        txn.put_unread(txn.places.wanted(subject), Pointer(subject))
    if before.facets and not after.facets:
        txn.delete_unread(txn.places.wanted(subject))


def _reserve_names(txn: Transaction, request: ClaimRequest) -> None:
    for kind, name in request.names:
        place = txn.places.name(kind, name)
        if txn.find(NameOwner, place) is None:
            txn.put(place, NameOwner(str(request.subject)))
