"""Counts of what is too much to be counted anew each time: sums over several documents, of which each change takes one."""

from agentd.ledger.documents.shapes import Counts
from agentd.ledger.documents.store import Place
from agentd.ledger.documents.transaction import Transaction


def place_of(txn: Transaction) -> Place:
    """The document that a transaction counts in: any one, so that two at once seldom meet."""
    return txn.places.counts(int(txn.id[:8], 16))


async def add(txn: Transaction, *, finished: int = 0, subjects: int = 0, tombstones: int = 0) -> None:
    """Count so many more."""
    if not (finished or subjects or tombstones):
        return
    place = place_of(txn)
    await txn.read([place])
    before = txn.find(Counts, place) or Counts()
    txn.put(place, before.plus(finished=finished, subjects=subjects, tombstones=tombstones))


async def total(txn: Transaction) -> Counts:
    """The sums."""
    found = [txn.find(Counts, place) or Counts() for place in await txn.list_all(txn.places.count_shards())]
    return Counts(
        finished=sum(each.finished for each in found),
        subjects=sum(each.subjects for each in found),
        tombstones=sum(each.tombstones for each in found),
    )
