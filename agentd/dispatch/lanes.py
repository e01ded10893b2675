"""Order and exclusion inside one replica.

An event queues up on its own subject and on every subject that it locks, all at once and in order of arrival, and has
its turn when nobody incompatible is ahead of it on any of them. As all places are taken in one go, waits cannot form a
circle. Between replicas the ledger's leases do the same work.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, Self

from agentd.core import Lock, LockMode, Subject
from agentd.dispatch.comebacks import Comebacks


class Ticket:
    """One event's places in its lanes, until the block ends. `preempted`: a newer delete of the subject has been admitted since.

    `owner` is the task that has it, by which a place that nobody gives back is found out.
    """

    __slots__ = (
        "_lanes",
        "deletes",
        "event_id",
        "flow",
        "generation",
        "modes",
        "owner",
        "preempted",
        "ready",
        "subject",
    )

    def __init__(
        self,
        lanes: "Lanes",
        subject: Subject,
        generation: int,
        *,
        deletes: bool,
        locks: Iterable[Lock],
        flow: str,
        event_id: str,
        owner: asyncio.Task[Any] | None,
    ) -> None:
        self._lanes = lanes
        self.event_id = event_id
        self.subject = subject
        self.generation = generation
        self.owner = owner
        self.deletes = deletes
        self.flow = flow
        self.modes: dict[Subject, LockMode] = {lock.subject: lock.mode for lock in sorted(locks)}
        self.modes[subject] = LockMode.WRITE
        self.preempted = False
        self.ready = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._lanes.leave(self)


class Lanes:
    """All lanes of a replica. `depth` bounds how many events may queue for one subject, `flow_depth` for one flow.

    `comebacks` is told of whoever leaves.
    """

    def __init__(self, depth: int, *, flow_depth: int, comebacks: Comebacks) -> None:
        self._depth = depth
        self._flow_depth = flow_depth
        self._comebacks = comebacks
        self._lanes: dict[Subject, deque[Ticket]] = {}
        self._flows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def ticket(
        self,
        subject: Subject,
        generation: int,
        *,
        deletes: bool,
        locks: Iterable[Lock],
        flow: str,
        event_id: str = "",
        owner: asyncio.Task[Any] | None = None,
    ) -> "Ticket | nullcontext[None]":
        """Places in all lanes until the block ends; None when the subject's own lane, or its flow, is full."""
        if len(self._lanes.get(subject, ())) >= self._depth or self._flows.get(flow, 0) >= self._flow_depth:
            return nullcontext()
        ticket = Ticket(
            self, subject, generation, deletes=deletes, locks=locks, flow=flow, event_id=event_id, owner=owner
        )
        self._flows[flow] = self._flows.get(flow, 0) + 1
        for locked in ticket.modes:
            self._lanes.setdefault(locked, deque()).append(ticket)
        self._call(ticket)
        return ticket

    def admit(self, ticket: Ticket) -> None:
        """The event may be carried out: a delete pre-empts older events of its subject, now that not anybody could."""
        if not ticket.deletes:
            return
        for other in self._lanes[ticket.subject]:
            if other.subject == ticket.subject and other.generation < ticket.generation:
                other.preempted = True

    def ahead_of(self, ticket: Ticket) -> str | None:
        """The id of the event that goes before it; None when nobody does."""
        for locked in ticket.modes:
            for ahead in self._lanes[locked]:
                if ahead is ticket:
                    break
                if LockMode.WRITE in (ahead.modes[locked], ticket.modes[locked]):
                    return ahead.event_id
        return None

    def check(self) -> str | None:
        """What is wrong with the lanes, or None: everybody in them is at work, and who may go on has been told."""
        for subject, lane in self._lanes.items():
            for ticket in lane:
                if ticket.owner is not None and ticket.owner.done():
                    return f"the lane of {subject} is held by task {ticket.owner.get_name()}, which has ended"
                if not ticket.ready.is_set() and self._may_go(ticket):
                    return f"the lane of {subject} is free, and an event of {ticket.subject} waits for it"
        return None

    def leave(self, ticket: Ticket) -> None:
        """Give its places up; whoever may go on now is told."""
        left = self._flows.pop(ticket.flow) - 1
        if left:
            self._flows[ticket.flow] = left
        self._comebacks.left(ticket.flow, busy=left > 0)
        for locked in ticket.modes:
            lane = self._lanes[locked]
            lane.remove(ticket)
            if not lane:
                del self._lanes[locked]
                continue
            for waiting in lane:
                self._call(waiting)

    def _call(self, ticket: Ticket) -> None:
        if not ticket.ready.is_set() and self._may_go(ticket):
            ticket.ready.set()

    def _may_go(self, ticket: Ticket) -> bool:
        return self.ahead_of(ticket) is None
