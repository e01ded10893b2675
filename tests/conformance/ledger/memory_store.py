"""A store of documents in memory, for tests of the ledger's logic. It keeps every sentence of the port, and often gives way."""

import asyncio
from bisect import insort
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from agentd.ledger.documents import Change, Conflicted, Delete, Expected, Place, Put, Stored, StoreLimits


@dataclass(slots=True, eq=False)
class Memory:
    """What all replicas share."""

    stored: dict[Place, Stored] = field(default_factory=dict)
    order: list[Place] = field(default_factory=list)
    writes: int = 0


@dataclass(slots=True, eq=False)
class MemoryStore:
    """One replica's way to it."""

    memory: Memory

    @property
    def limits(self) -> StoreLimits:
        """See the port."""
        return StoreLimits(changes=100, body_bytes=300_000, shards=4)

    async def get(self, places: Collection[Place]) -> Mapping[Place, Stored]:
        """See the port. Between two documents others may come."""
        found = {}
        for place in places:
            await asyncio.sleep(0)
            if place in self.memory.stored:
                found[place] = self.memory.stored[place]
        return found

    async def range(
        self, partition: str, *, first: str = "", before: str | None = None, limit: int | None = None
    ) -> Sequence[Stored]:
        """See the port."""
        await asyncio.sleep(0)
        names = [
            place
            for place in self.memory.order
            if place.partition == partition and first <= place.name and (before is None or place.name < before)
        ]
        return [self.memory.stored[place] for place in names[:limit]]

    async def write(self, changes: Sequence[Change], write_id: str) -> None:
        """See the port."""
        await asyncio.sleep(0)
        assert len(changes) <= self.limits.changes
        assert len({change.place for change in changes}) == len(changes)
        if not all(self._is_as_expected(change) for change in changes):
            raise Conflicted
        for change in changes:
            self._carry_out(change, write_id)

    async def close(self) -> None:
        """See the port."""

    def _is_as_expected(self, change: Change) -> bool:
        stored = self.memory.stored.get(change.place)
        if change.expected is Expected.ANYTHING:
            return True
        return (
            stored is None
            if change.expected is Expected.ABSENT
            else stored is not None and stored.version == change.expected
        )

    def _carry_out(self, change: Change, write_id: str) -> None:
        match change:
            case Put(place, body):
                assert len(body) <= self.limits.body_bytes
                if place not in self.memory.stored:
                    insort(self.memory.order, place)
                self.memory.writes += 1
                self.memory.stored[place] = Stored(place, str(self.memory.writes), write_id, body)
            case Delete(place):
                if self.memory.stored.pop(place, None) is not None:
                    self.memory.order.remove(place)
