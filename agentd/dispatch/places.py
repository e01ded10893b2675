"""Who runs next: places for running events, shared fairly between flows.

A flow is what events compete under: an environment or a project. Flows that wait take turns by deficit round robin: each is
charged the seconds that its events ran, and one that has had more than its share waits for the others. A flow never has
more than its cap of places, so that a newcomer finds one free however many events another flow has.

Source: M. Shreedhar, G. Varghese: Efficient Fair Queuing using Deficit Round Robin (1995); charged afterwards, as how long
an event will run is not known before.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agentd.core import Runtime

_QUANTUM_S = 0.05


@dataclass(slots=True, eq=False)
class _Claimant:
    """A task that waits for a place, and has one once it is called."""

    task: asyncio.Task[object]
    called: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class _Flow:
    """Who waits and who has a place. `credit_s` below nought: it has had more than its share."""

    waiting: deque[_Claimant] = field(default_factory=deque)
    holders: set[_Claimant] = field(default_factory=set)
    credit_s: float = 0.0


class Places:
    """`most` places for all, at most `share` of them for one flow."""

    def __init__(self, most: int, *, share: float, runtime: Runtime) -> None:
        self._most = most
        self._cap = max(1, math.ceil(most * share))
        self._runtime = runtime
        # In the order of their turns: who is served goes to the end.
        self._flows: dict[str, _Flow] = {}
        self._used = 0

    @property
    def used(self) -> int:
        """Places that are taken."""
        return self._used

    @asynccontextmanager
    async def place(self, name: str, *, wait_s: float) -> AsyncIterator[bool]:
        """A place for the flow until the block ends; False when none came within `wait_s`."""
        claimant = self._queue_up(name)
        try:
            if not await _called(claimant, wait_s):
                yield False
                return
            began_at = self._runtime.monotonic()
            try:
                yield True
            finally:
                self._flows[name].credit_s -= self._runtime.monotonic() - began_at
        finally:
            self._leave(name, claimant)

    def check(self) -> str | None:
        """What is wrong with the books, or None: every place in use belongs to a task that is still at work."""
        holders = [(name, claimant.task) for name, flow in self._flows.items() for claimant in flow.holders]
        if self._used != len(holders) or self._used > self._most:
            return f"{self._used} of {self._most} places in use, but {len(holders)} events hold one"
        for name, task in holders:
            if task.done():
                return f"a place of {name} is held by task {task.get_name()}, which has ended"
        if able := self._able():
            return f"places are free, and an event of {able[0][0]} waits for one"
        return None

    def _queue_up(self, name: str) -> _Claimant:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a place is held by a task")
        claimant = _Claimant(task, asyncio.get_running_loop().create_future())
        self._flows.setdefault(name, _Flow()).waiting.append(claimant)
        self._serve()
        return claimant

    def _leave(self, name: str, claimant: _Claimant) -> None:
        flow = self._flows[name]
        if claimant in flow.holders:
            flow.holders.remove(claimant)
            self._used -= 1
        else:
            flow.waiting.remove(claimant)
        if not flow.waiting and not flow.holders:
            del self._flows[name]
        self._serve()

    def _serve(self) -> None:
        while able := self._able():
            name, flow = _turn(able)
            del self._flows[name]
            self._flows[name] = flow
            claimant = flow.waiting.popleft()
            flow.holders.add(claimant)
            self._used += 1
            if not claimant.called.done():
                claimant.called.set_result(None)

    def _able(self) -> list[tuple[str, _Flow]]:
        """The flows that could have a free place now, in the order of their turns."""
        if self._used >= self._most:
            return []
        return [(name, flow) for name, flow in self._flows.items() if flow.waiting and len(flow.holders) < self._cap]


def _turn(able: list[tuple[str, _Flow]]) -> tuple[str, _Flow]:
    """Whose turn it is: the first that has credit; when none has, all are given what the nearest one lacks."""
    lacking_s = -max(flow.credit_s for _, flow in able)
    if lacking_s > 0:
        gift_s = math.ceil(lacking_s / _QUANTUM_S) * _QUANTUM_S
        for _, flow in able:
            flow.credit_s = min(0.0, flow.credit_s + gift_s)
    return next((name, flow) for name, flow in able if flow.credit_s >= 0)


async def _called(claimant: _Claimant, wait_s: float) -> bool:
    if claimant.called.done():
        return True
    try:
        async with asyncio.timeout(wait_s):
            await claimant.called
    except TimeoutError:
        return False
    return True
