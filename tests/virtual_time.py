"""An event loop whose clock jumps: a test that waits five minutes takes as long as its work.

While something is ready, time stands still. When nothing is, it jumps to the next timer. Calls that run in a thread take
no virtual time: as long as one is under way the loop waits for it in earnest. When nothing is ready, no timer is set and
no thread works, nothing can ever happen any more, and the loop says so instead of hanging.
"""

import asyncio
import random
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

import pytest

from agentd.core import Runtime

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

START = 1_700_000_000.0
"""What the wall clock shows when a loop begins."""

_INSTANT_S = 0.02


class _Selector(selectors.DefaultSelector):
    """Asks for events, and turns waiting into a jump of the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The events that are there; `now` has moved on by the time that would have been waited."""
        if self.threads and timeout != 0:
            return super().select(None)
        if timeout is None:
            raise RuntimeError("everything waits, and nothing that could end a wait is under way")
        self.now += max(timeout, 0.0)
        return super().select(0)


class _SocketSelector(_Selector):
    """The same, for servers and clients within one process: what one has sent is on its way to the other for an instant."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Time stands still for what arrives."""
        if self.threads or timeout == 0:
            return super().select(timeout)
        return selectors.DefaultSelector.select(self, _INSTANT_S) or super().select(timeout)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module."""

    selector: type[_Selector] = _Selector

    def __init__(self) -> None:
        self._clock = self.selector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._clock.now

    def run_in_executor(
        self, executor: object, func: Callable[[*Arguments], T], *args: *Arguments
    ) -> asyncio.Future[T]:
        """As usual; time stands still until the call is back."""
        call: asyncio.Future[T] = super().run_in_executor(executor, func, *args)  # type: ignore[arg-type]
        self._clock.threads += 1
        call.add_done_callback(self._back)
        return call

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """As usual, and in a thread too."""
        with self._in_thread():
            await super().shutdown_default_executor()

    def _back(self, _call: asyncio.Future[T]) -> None:
        self._clock.threads -= 1

    @contextmanager
    def _in_thread(self) -> Iterator[None]:
        self._clock.threads += 1
        try:
            yield
        finally:
            self._clock.threads -= 1


class SocketTimeLoop(VirtualTimeLoop):
    """With real sockets of this process: before each jump the loop looks for an instant whether something arrives."""

    selector = _SocketSelector


def about(seconds: float) -> Any:  # a float to the type checker, as it is compared with one
    """Equal to what is off by a rounding error, as sums of times are."""
    return pytest.approx(seconds)


@dataclass(slots=True)
class WallClock:
    """A replica's wall clock: it follows the loop's, and may be wrong by `ahead_s`."""

    ahead_s: float = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return START + asyncio.get_running_loop().time() + self.ahead_s


def virtual_runtime(clock: WallClock | None = None, *, seed: int = 1) -> Runtime:
    """A replica's clock and dice on a virtual loop; the same seed, the same run."""
    return Runtime(wall=(clock or WallClock()).now, random=random.Random(seed))
