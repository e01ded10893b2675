"""Who runs next: places for running events, shared fairly between flows.

A flow is what events compete under: an environment or a project. Flows that wait take turns by deficit round robin: each is
charged the seconds that its events ran, and one that has had more than its share waits for the others. A flow never has
more than its cap of places, so that a newcomer finds one free however many events another flow has.

Source: M. Shreedhar, G. Varghese: Efficient Fair Queuing using Deficit Round Robin (1995); charged afterwards, as how long
an event will run is not known before.
"""

import asyncio
import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from agentd.core import Runtime

_QUANTUM_S = 0.05


@dataclass(slots=True, eq=False)
class _Flow:
    """Who waits and who has a place. `credit_s` below nought: it has had more than its share."""

    waiting: "deque[Place]" = field(default_factory=deque)
    holders: "set[Place]" = field(default_factory=set)
    credit_s: float = 0.0


class Places:
    """`most` places for all, at most `share` of them for one flow."""

    def __init__(self, most: int, *, share: float, runtime: Runtime) -> None:
        self._most = most
        self._cap = max(1, math.ceil(most * share))
        self._runtime = runtime
        self._flows: dict[str, _Flow] = {}
        # Those that wait and may have one more, in the order of their turns.
        self._ring: OrderedDict[str, _Flow] = OrderedDict()
        self._used = 0

    @property
    def used(self) -> int:
        """Places that are taken."""
        return self._used

    def at_cap(self, flow: str) -> bool:
        """Whether the flow has as many places as one may."""
        known = self._flows.get(flow)
        return known is not None and len(known.holders) >= self._cap

    def place(self, flow: str, *, wait_s: float) -> "Place":
        """A context: a place for the flow until the block ends, or False when none came within `wait_s`."""
        return Place(self, flow, wait_s)

    def take(self, place: "Place") -> bool:
        """Have the place at once, unless there is none or somebody waits for it."""
        flow = self._flows.get(place.flow)
        if self._ring or self._used >= self._most or (flow is not None and len(flow.holders) >= self._cap):
            return False
        if flow is None:
            flow = self._flows[place.flow] = _Flow()
        # Nobody has waited for what it has had beyond its share.
        flow.credit_s = 0.0
        self._seat(flow, place)
        return True

    def queue_up(self, place: "Place") -> None:
        """Wait for the place: it is called once it is there."""
        flow = self._flows.get(place.flow)
        if flow is None:
            flow = self._flows[place.flow] = _Flow()
        flow.waiting.append(place)
        self._line_up(place.flow, flow)
        self._serve()

    def leave(self, place: "Place") -> None:
        """Wait no more, or give the place back; its time is charged to the flow."""
        flow = self._flows[place.flow]
        if place in flow.holders:
            flow.holders.remove(place)
            flow.credit_s -= self._runtime.monotonic() - place.since
            self._used -= 1
        else:
            flow.waiting.remove(place)
        self._line_up(place.flow, flow)
        if not flow.waiting and not flow.holders:
            del self._flows[place.flow]
        self._serve()

    def check(self) -> str | None:
        """What is wrong with the books, or None: every place in use belongs to a task that is still at work."""
        holders = [(name, place.task) for name, flow in self._flows.items() for place in flow.holders]
        if self._used != len(holders) or self._used > self._most:
            return f"{self._used} of {self._most} places in use, but {len(holders)} events hold one"
        for name, task in holders:
            if task.done():
                return f"a place of {name} is held by task {task.get_name()}, which has ended"
        if self._ring and self._used < self._most:
            return f"places are free, and an event of {next(iter(self._ring))} waits for one"
        return None

    def _line_up(self, name: str, flow: _Flow) -> None:
        """In the ring if it waits and may have one more, and else not."""
        if flow.waiting and len(flow.holders) < self._cap:
            self._ring.setdefault(name, flow)
        else:
            self._ring.pop(name, None)

    def _serve(self) -> None:
        while self._ring and self._used < self._most:
            name, flow = self._turn()
            place = flow.waiting.popleft()
            self._seat(flow, place)
            self._ring.move_to_end(name)
            self._line_up(name, flow)
            place.call()

    def _seat(self, flow: _Flow, place: "Place") -> None:
        flow.holders.add(place)
        place.since = self._runtime.monotonic()
        self._used += 1

    def _turn(self) -> tuple[str, _Flow]:
        """The first that has credit; who has none is given a quantum and waits for the next round."""
        for _ in range(len(self._ring)):
            name, flow = next(iter(self._ring.items()))
            if flow.credit_s >= 0:
                return name, flow
            flow.credit_s = min(0.0, flow.credit_s + _QUANTUM_S)
            self._ring.move_to_end(name)
        # Nobody had any: as many rounds at once as the nearest one needs.
        lacking_s = -max(flow.credit_s for flow in self._ring.values())
        for flow in self._ring.values():
            flow.credit_s = min(0.0, flow.credit_s + math.ceil(lacking_s / _QUANTUM_S) * _QUANTUM_S)
        return max(self._ring.items(), key=lambda waiting: waiting[1].credit_s)


class Place:
    """One wait of the current task for a place, and the place, since when it has it."""

    __slots__ = ("_called", "_placed", "_places", "_wait_s", "flow", "since", "task")

    def __init__(self, places: Places, flow: str, wait_s: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a place is held by a task")
        self._places = places
        self._wait_s = wait_s
        self._called: asyncio.Future[None] | None = None
        self._placed = False
        self.flow = flow
        self.task = task
        self.since = 0.0

    def call(self) -> None:
        """It is there: wait no longer."""
        if self._called is not None and not self._called.done():
            self._called.set_result(None)

    async def __aenter__(self) -> bool:
        self._placed = self._places.take(self) or await self._wait()
        return self._placed

    async def __aexit__(self, *_error: object) -> None:
        if self._placed:
            self._places.leave(self)

    async def _wait(self) -> bool:
        self._called = asyncio.get_running_loop().create_future()
        self._places.queue_up(self)
        try:
            async with asyncio.timeout(self._wait_s):
                await self._called
        except TimeoutError:
            self._places.leave(self)
            return False
        except BaseException:
            self._places.leave(self)
            raise
        return True
