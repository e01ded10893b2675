"""What only reads."""

from agentd.core import Subject, side_by_side
from agentd.ledger.documents import counts, leases, records
from agentd.ledger.documents.claims import claims_of, desired_of
from agentd.ledger.documents.records import Known
from agentd.ledger.documents.shapes import OpenEpoch, Pointer, Report
from agentd.ledger.documents.store import Conflicted
from agentd.ledger.documents.transaction import Transaction
from agentd.ledger.protocol import (
    Held,
    LedgerStats,
    OutboxEntry,
    Record,
    StepRecord,
    SubjectState,
    Transition,
)

FOUND_LIMIT = 50
_EVENTS = "event/"


async def lookup(txn: Transaction, key: str) -> Record | None:
    """The record in its current epoch."""
    found = await records.known(txn, key)
    return None if found is None else found.current


async def history(txn: Transaction, key: str) -> list[Transition]:
    """What happened to an event, oldest first."""
    found = await records.known(txn, key)
    return [] if found is None else list(found.epoch.history)


async def steps(txn: Transaction, key: str) -> list[StepRecord]:
    """The journal of the epoch that is open, oldest first."""
    found = await records.known(txn, key)
    return [] if found is None or found.open is None else list(found.open.steps)


async def outbox(txn: Transaction, limit: int) -> list[OutboxEntry]:
    """The oldest reports, each with its own epoch's record. Conflicted: one has been sent and forgotten meanwhile."""
    places = await txn.list_all(txn.places.outbox_shards())
    waiting = [report for place in places if (report := txn.find(Report, place)) is not None]
    oldest = sorted(waiting, key=lambda report: (report.at, report.tick, report.report_id))[:limit]
    known = await records.known_of(txn, (report.key for report in oldest))
    return [OutboxEntry(report.report_id, report.sequence, await _reported(txn, known, report)) for report in oldest]


async def find(txn: Transaction, text: str) -> list[Record]:
    """Records that a text names, newest first."""
    if not text:
        return []
    keys = [text, f"event/{text}", f"message/{text}"]
    of_subject = txn.places.of_subject(text)
    lists = [
        await txn.list(txn.places.called(text), limit=FOUND_LIMIT),
        *[
            await txn.list(of_subject, first=kind, before=f"{kind}~", limit=FOUND_LIMIT)
            for kind in (_EVENTS, "message/")
        ],
    ]
    keys += [pointer.key for places in lists for place in places if (pointer := txn.find(Pointer, place)) is not None]
    known = await records.known_of(txn, keys)
    found = [each.current for each in known.values()]
    named = [
        record for record in found if text in (record.key, record.event_id, record.subject) or record.key in keys[:3]
    ]
    named.sort(key=lambda record: (-record.admitted_at, record.key))
    return named[:FOUND_LIMIT]


async def subject_state(txn: Transaction, subject: Subject) -> SubjectState | None:
    """What is known of a subject."""
    name, places = str(subject), txn.places
    await txn.read([places.subject(name), places.desired(name)])
    listed = await txn.list(places.of_subject(name), first=_EVENTS, before=f"{_EVENTS}~", limit=FOUND_LIMIT)
    newest = [pointer.key for place in listed if (pointer := txn.find(Pointer, place)) is not None]
    entry, desired = leases.entry_of(txn, name), desired_of(txn, name)
    if not entry.token and not newest:
        return None
    await txn.read(leases.referred_to(txn, [entry]))
    held, claims = leases.holder(txn, entry), claims_of(entry, desired)
    return SubjectState(
        subject=name,
        token=entry.token,
        facets={facet: claimed.number for facet in sorted(claims.facets) if (claimed := claims.of(facet))},
        desired=desired.facets,
        tombstone=entry.tombstone,
        names=entry.names,
        held_by=None if held is None else Held(held[0], held[2].replica, name, held[2].until),
        events=tuple(newest),
    )


async def wanted(txn: Transaction, *, after: str, limit: int) -> list[str]:
    """Subjects of which something is desired. Each of the lists may have all that come next."""
    behind = f"{after}-" if after else ""  # no name goes on with a smaller character than a dash
    lists = await side_by_side(
        txn.places.wanted_shards(), lambda partition: txn.list(partition, first=behind, limit=limit)
    )
    found = [pointer.key for places in lists for place in places if (pointer := txn.find(Pointer, place)) is not None]
    return sorted(found)[:limit]


async def events_of(txn: Transaction, subject: Subject, *, before: Record | None, limit: int) -> list[Record]:
    """A subject's verified events, newest first."""
    name, first = str(subject), _EVENTS
    if before is not None:
        first = f"{txn.places.record_of_subject(name, before.key, before.admitted_at).name}-"
    listed = await txn.list(txn.places.of_subject(name), first=first, before=f"{_EVENTS}~", limit=limit)
    keys = [pointer.key for place in listed if (pointer := txn.find(Pointer, place)) is not None]
    known = await records.known_of(txn, keys)
    return [known[key].current for key in keys if key in known]


async def stats(txn: Transaction) -> LedgerStats:
    """Counts over the whole ledger. What is open and what waits to be sent is counted, the rest is kept count of."""
    total = await counts.total(txn)
    opened = [
        epoch
        for place in await txn.list_all(txn.places.open_shards())
        if (epoch := txn.find(OpenEpoch, place)) is not None
    ]
    reasons = [epoch.waiting.why for epoch in opened if epoch.waiting is not None]
    return LedgerStats(
        open_events=len(opened),
        finished_events=total.finished,
        outbox=len(await txn.list_all(txn.places.outbox_shards())),
        leases=sum(epoch.lease is not None for epoch in opened),
        subjects=total.subjects,
        tombstones=total.tombstones,
        oldest_open_at=min((epoch.admitted_at for epoch in opened), default=None),
        waiting={why: reasons.count(why) for why in sorted(set(reasons))},
    )


async def _reported(txn: Transaction, known: dict[str, Known], report: Report) -> Record:
    found = known.get(report.key)
    record = None if found is None else await records.record_of_epoch(txn, found, report.epoch)
    if record is None or record.outcome is None:
        raise Conflicted
    return record
