"""The end of an epoch, its report, and the next epoch."""

from collections.abc import Sequence
from dataclasses import replace

from agentd.core import LeaseLost, OutcomeKind, PermanentError, Reason
from agentd.ledger.documents import counts, leases, records
from agentd.ledger.documents.claims import desired_of, list_wanted
from agentd.ledger.documents.records import Known
from agentd.ledger.documents.shapes import (
    Admitted,
    Desired,
    EndedEpoch,
    OpenEpoch,
    PastEpochs,
    Pointer,
    Report,
    SubjectEntry,
)
from agentd.ledger.documents.store import Place
from agentd.ledger.documents.transaction import Transaction
from agentd.ledger.judgement import ended, sequence_counter
from agentd.ledger.protocol import Ending, Record


async def finish(txn: Transaction, ending: Ending, *, tick: int) -> Record:
    """End the epoch: outcome, sequence and report; the lease goes, a delete that succeeded leaves its tombstone."""
    await txn.read(_first_reads(txn, ending))
    found = await records.known(txn, ending.key)
    if found is None:
        found = _write_down(txn, ending)
    else:
        record = await records.record_of_epoch(txn, found, ending.epoch)
        if record is None:
            raise PermanentError(Reason.INTERNAL_ERROR, f"ledger: {ending.key} has no epoch {ending.epoch}")
        if found.open is None or record.epoch != found.open.epoch:
            return record
    opened = found.open
    if opened is None:
        raise ValueError(f"{ending.key} is not open")
    _prove_right(opened, ending)
    return await _end(txn, ending, found, opened, tick=tick)


async def reopen(txn: Transaction, key: str, *, epoch: int, now: float) -> Record:
    """Open the next epoch of an event that ended as failed or rejected."""
    found = await records.known(txn, key)
    if found is None:
        raise records.never_admitted(key)
    record, ended = found.current, found.ended
    if found.open is not None or ended is None or record.outcome is None:
        return record
    if ended.epoch != epoch or not record.outcome.dead_letters:
        return record
    opened = OpenEpoch(key, epoch + 1, found.admitted.admitted_at, history=ended.history, counter=ended.counter).noted(
        "redriven", f"after {ended.outcome}", at=now
    )
    txn.put(txn.places.open(key), opened)
    # Also so that nobody forgets the record meanwhile.
    txn.put(txn.places.ended(key), replace(ended, history=()))
    txn.delete_unread(txn.places.done(key, ended.finished_at))
    await counts.add(txn, finished=-1)
    return records.record_of(found.admitted, opened)


async def repeat_report(txn: Transaction, key: str, *, now: float, tick: int) -> None:
    """Put a finished event's report into the outbox, unless it waits there."""
    found = await records.known(txn, key)
    if found is None or found.open is not None or found.ended is None:
        return
    ended = found.ended
    place = txn.places.report(ended.report_id)
    await txn.read([place])
    if txn.find(Report, place) is None:
        txn.put(place, Report(ended.report_id, key, ended.epoch, ended.sequence, now, tick))
        # So that nobody forgets the record meanwhile.
        txn.put(txn.places.ended(key), ended)


async def sent(txn: Transaction, report_ids: Sequence[str]) -> None:
    """Take reports out of the outbox."""
    for report_id in report_ids:
        txn.delete_unread(txn.places.report(report_id))


def _first_reads(txn: Transaction, ending: Ending) -> list[Place]:
    """All that an end needs, but for the subject where it is not known yet."""
    places = txn.places
    wanted = [*records.places_of(places, ending.key), counts.place_of(txn)]
    subject = ending.subject if ending.claim is None else str(ending.claim.subject)
    if subject:
        wanted += [places.subject(subject), *([places.desired(subject)] if ending.deletes else [])]
    return wanted


def _write_down(txn: Transaction, ending: Ending) -> Known:
    """A message that ends without ever having been admitted."""
    if ending.claim is not None:
        raise LeaseLost(f"ledger: {ending.key} has no lease in epoch {ending.epoch}")
    admitted = Admitted(
        key=ending.key,
        event_id=ending.event_id,
        digest=ending.digest,
        type=ending.type,
        subject=ending.subject,
        generation=ending.generation,
        event=ending.event,
        admitted_at=ending.now,
        expires_at=None,
    )
    records.write_down(txn, admitted)
    return Known(admitted, OpenEpoch(ending.key, ending.epoch, ending.now), None)


def _prove_right(opened: OpenEpoch, ending: Ending) -> None:
    """LeaseLost unless the lease is the ending's own; without one, unless nobody works on the event."""
    claim, lease = ending.claim, opened.lease
    if claim is not None:
        own = (claim.key, claim.epoch) == (ending.key, ending.epoch)
        if not own or opened.valid_lease_of(claim, now=ending.now) is None:
            raise LeaseLost(f"ledger: {claim.replica} has no lease on {claim.subject} for {ending.key} any more")
    elif lease is not None and lease.until > ending.now:
        raise LeaseLost(f"ledger: {lease.replica} is working on {ending.key}")


async def _end(txn: Transaction, ending: Ending, found: Known, opened: OpenEpoch, *, tick: int) -> Record:
    places, key, admitted = txn.places, ending.key, found.admitted
    opened, sequence, entry = await _number(txn, admitted, opened)
    buried = ending.claim is not None and ending.deletes and ending.outcome.kind is OutcomeKind.SUCCEEDED
    if entry is not None:
        after = replace(entry, deleting=None if entry.deleting == key else entry.deleting)
        if entry.holder is not None and entry.holder.key == key:
            after = replace(after, holder=None)
        txn.put(places.subject(admitted.subject), await _bury(txn, admitted, after) if buried else after)
    ended = _ended(ending, opened, sequence)
    if found.ended is not None:
        past = await records.past_epochs(txn, found)
        await txn.read([places.past(key)])
        txn.put(places.past(key), PastEpochs((*past.epochs, found.ended)))
    txn.put_unread(places.ended(key), ended)
    txn.delete(places.open(key))
    txn.put_unread(
        places.report(ending.report_id), Report(ending.report_id, key, ended.epoch, sequence, ending.now, tick)
    )
    txn.put_unread(places.done(key, ending.now), Pointer(key))
    lies = buried and entry is not None and entry.tombstone is None
    await counts.add(txn, finished=1, tombstones=int(lies))
    return records.record_of(admitted, ended)


async def _number(
    txn: Transaction, admitted: Admitted, opened: OpenEpoch
) -> tuple[OpenEpoch, int, SubjectEntry | None]:
    """The report's number, and who counts: the epoch or its subject's entry, either as it then is."""
    if sequence_counter(admitted.key, admitted.subject) == admitted.key:
        return replace(opened, counter=opened.counter + 1), opened.counter + 1, None
    await txn.read([txn.places.subject(admitted.subject)])
    entry = leases.entry_of(txn, admitted.subject)
    return opened, entry.sequence + 1, replace(entry, sequence=entry.sequence + 1)


def _ended(ending: Ending, opened: OpenEpoch, sequence: int) -> EndedEpoch:
    outcome = ending.outcome
    reason = None if outcome.reason is None else outcome.reason.value
    words = (outcome.kind.value, reason and f"({reason})", outcome.message)
    history = opened.noted("finished", " ".join(word for word in words if word), at=ending.now).history
    return EndedEpoch(
        epoch=opened.epoch,
        attempts=opened.attempts,
        changed=opened.changed or outcome.changed,
        started_at=opened.started_at,
        last_error=opened.last_error,
        objects=opened.objects,
        finished_at=ending.now,
        outcome=outcome.kind.value,
        reason=reason,
        message=outcome.message,
        step=outcome.step,
        result=outcome.result,
        report_id=ending.report_id,
        sequence=sequence,
        history=history,
        counter=opened.counter,
    )


async def _bury(txn: Transaction, admitted: Admitted, entry: SubjectEntry) -> SubjectEntry:
    """The subject after a delete that succeeded: a tombstone, nothing desired but by newer events, its names free."""
    place = txn.places.desired(admitted.subject)
    await txn.read([place])
    over = ended(entry.facets, admitted.generation or 0)
    before = desired_of(txn, admitted.subject)
    after = Desired({name: value for name, value in before.facets.items() if name not in over})
    list_wanted(txn, admitted.subject, before, after)
    if after.facets:
        txn.put(place, after)
    else:
        txn.delete(place)
    for kind, name in entry.names:
        txn.delete_unread(txn.places.name(kind, name))
    return replace(entry, tombstone=admitted.generation, desired=txn.id if after.facets else None, names=())
