"""Order and exclusion inside one replica.

An event queues up on its own subject and on every subject that it locks, all at once and in order of arrival, and has
its turn when nobody incompatible is ahead of it on any of them. As all places are taken in one go, waits cannot form a
circle. Between replicas the ledger's leases do the same work.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from agentd.core import Lock, LockMode, Subject


class Ticket:
    """One event's places in its lanes. `preempted`: a newer delete of the subject has been admitted since."""

    def __init__(self, subject: Subject, generation: int, *, deletes: bool, locks: Iterable[Lock]) -> None:
        self.subject = subject
        self.generation = generation
        self.deletes = deletes
        self.modes: dict[Subject, LockMode] = {lock.subject: lock.mode for lock in sorted(locks)}
        self.modes[subject] = LockMode.WRITE
        self.preempted = False
        self.ready = asyncio.Event()


class Lanes:
    """All lanes of a replica. `depth` bounds how many events may queue for one subject."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._lanes: dict[Subject, deque[Ticket]] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    @contextmanager
    def ticket(
        self, subject: Subject, generation: int, *, deletes: bool, locks: Iterable[Lock]
    ) -> Iterator[Ticket | None]:
        """Take places in all lanes until the block ends; None when the subject's own lane is full."""
        if len(self._lanes.get(subject, ())) >= self._depth:
            yield None
            return
        ticket = Ticket(subject, generation, deletes=deletes, locks=locks)
        for locked in ticket.modes:
            self._lanes.setdefault(locked, deque()).append(ticket)
        self._call(ticket)
        try:
            yield ticket
        finally:
            self._leave(ticket)

    def admit(self, ticket: Ticket) -> None:
        """The event may be carried out: a delete pre-empts older events of its subject, now that not anybody could."""
        if not ticket.deletes:
            return
        for other in self._lanes[ticket.subject]:
            if other.subject == ticket.subject and other.generation < ticket.generation:
                other.preempted = True

    def _leave(self, ticket: Ticket) -> None:
        for locked in ticket.modes:
            lane = self._lanes[locked]
            lane.remove(ticket)
            if not lane:
                del self._lanes[locked]
                continue
            for waiting in lane:
                self._call(waiting)

    def _call(self, ticket: Ticket) -> None:
        if not ticket.ready.is_set() and all(self._free(ticket, locked) for locked in ticket.modes):
            ticket.ready.set()

    def _free(self, ticket: Ticket, locked: Subject) -> bool:
        for ahead in self._lanes[locked]:
            if ahead is ticket:
                return True
            if LockMode.WRITE in (ahead.modes[locked], ticket.modes[locked]):
                return False
        return False
