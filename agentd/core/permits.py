"""Permits: how many may do something at once, and who does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agentd.core.runtime import Runtime

Task = asyncio.Task[Any]


@dataclass(slots=True, eq=False)
class Permit:
    """One that is taken: by which task, since when on the event loop's clock, and for how long at most when all is well.

    `orphaned`: a check has found its holder ended; it is given back a moment after that, or never.
    """

    holder: Task
    since: float
    longest_s: float | None = None
    orphaned: bool = False


class Permits:
    """A semaphore that knows its holders: every permit in use belongs to one task that is still at work."""

    def __init__(self, most: int, *, runtime: Runtime) -> None:
        self._runtime = runtime
        self._free = asyncio.Semaphore(most)
        self._taken: set[Permit] = set()

    @property
    def used(self) -> int:
        """Permits that are taken."""
        return len(self._taken)

    @asynccontextmanager
    async def hold(self, *, longest_s: float | None = None) -> AsyncIterator[Permit]:
        """A permit, waited for, until the block ends; or, if it is handed over in the block, until that task ends."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a permit is held by a task")
        await self._free.acquire()
        permit = Permit(task, self._runtime.monotonic(), longest_s)
        self._taken.add(permit)
        try:
            yield permit
        finally:
            if permit.holder is task:
                self._release(permit)

    def hand_over(self, permit: Permit, task: Task, *, longest_s: float | None = None) -> None:
        """The permit is the task's from now on, and is given back when that ends, however it ends."""
        permit.holder, permit.since, permit.longest_s = task, self._runtime.monotonic(), longest_s
        task.add_done_callback(lambda _done: self._release(permit))

    def check(self) -> str | None:
        """What is wrong with the books, or None (I9). A holder that has only just ended is told of from the next check on."""
        now = self._runtime.monotonic()
        for permit in self._taken:
            name, held_s = permit.holder.get_name(), now - permit.since
            if permit.holder.done():
                if permit.orphaned:
                    return f"a permit is held by task {name}, which has ended"
                permit.orphaned = True
            if permit.longest_s is not None and held_s > permit.longest_s:
                return f"task {name} has held a permit for {held_s:.0f} s (allowed: {permit.longest_s:g} s)"
        return None

    def _release(self, permit: Permit) -> None:
        self._taken.discard(permit)
        self._free.release()
