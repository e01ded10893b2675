"""Time, randomness, ids and tasks: the daemon takes them from here, so that it runs on a virtual clock as well."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a replica's clock and dice are.

    `wall` returns seconds since the epoch, and may jump; it is for what other processes read. Durations are measured
    with `monotonic`, which is the event loop's own clock, as are `asyncio.timeout` and `sleep`.
    """

    wall: Callable[[], float]
    random: random.Random

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.wall()

    def monotonic(self) -> float:
        """Seconds of the event loop's clock."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait, on the event loop's clock."""
        await asyncio.sleep(seconds)

    def new_id(self) -> str:
        """A random UUID (version 4)."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def random_bytes(self, size: int) -> bytes:
        """So many random bytes: those of the system, but for a runtime that is simulated."""
        return self.random.randbytes(size)

    def full_jitter(self, ceiling_s: float) -> float:
        """A delay between nought and the ceiling: spreads retries of many callers evenly."""
        return self.random.uniform(0, ceiling_s)

    def spawn(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start a named task in a group that waits for it."""
        return group.create_task(work, name=name)


class _SystemRuntime(Runtime):
    """Asks the machine's clocks, which event loops go by as well: finding the loop first costs five times as much.

    With another clock it is a `Runtime`.
    """

    __slots__ = ()

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def system_runtime() -> Runtime:
    """The machine's clock and the system's randomness."""
    return _SystemRuntime(wall=time.time, random=random.SystemRandom())
