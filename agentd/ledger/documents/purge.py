"""Forgetting what ended long ago."""

from collections.abc import Sequence

from agentd.ledger.documents import counts, records
from agentd.ledger.documents.places import stamp
from agentd.ledger.documents.records import Known
from agentd.ledger.documents.shapes import Pointer, Report
from agentd.ledger.documents.transaction import Transaction

RECORDS_AT_ONCE = 12
"""Records in one transaction: each has about six documents, and a transaction has room for a hundred."""


async def listed(txn: Transaction, partition: str, *, finished_before: float, after: str) -> Sequence[tuple[str, str]]:
    """What ended before then, behind the name `after` of the list: names, and the keys of the records."""
    # No name goes on with a smaller character than a dash.
    found = await txn.list(partition, first=f"{after}-", before=stamp(finished_before), limit=RECORDS_AT_ONCE)
    return [(place.name, pointer.key) for place in found if (pointer := txn.find(Pointer, place)) is not None]


async def forget(txn: Transaction, keys: Sequence[str]) -> int:
    """Forget those of the finished records whose reports have all been sent; how many."""
    known = await records.known_of(txn, keys)
    forgotten = [found for found in known.values() if await _is_told(txn, found)]
    for found in forgotten:
        _remove(txn, found)
    await counts.add(txn, finished=-len(forgotten))
    return len(forgotten)


async def _is_told(txn: Transaction, found: Known) -> bool:
    """Whether the record is finished, and no report of any of its epochs waits."""
    if found.open is not None or found.ended is None:
        return False
    epochs = (found.ended, *(await records.past_epochs(txn, found)).epochs)
    reports = [txn.places.report(epoch.report_id) for epoch in epochs]
    await txn.read(reports)
    return all(txn.find(Report, place) is None for place in reports)


def _remove(txn: Transaction, found: Known) -> None:
    """What says that the record has ended goes on condition: whoever reopens the record or repeats its report changes it."""
    admitted, ended, places = found.admitted, found.ended, txn.places
    if ended is None:
        raise ValueError(f"{admitted.key} has not ended")
    txn.delete(places.ended(admitted.key))
    txn.delete(places.admitted(admitted.key))
    if ended.epoch > 1:
        txn.delete(places.past(admitted.key))
    txn.delete_unread(places.done(admitted.key, ended.finished_at))
    for place in records.lists_of(places, admitted):
        txn.delete_unread(place)
