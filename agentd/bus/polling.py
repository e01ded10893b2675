"""Waiting for messages on a queue that has no long poll of its own."""

from collections.abc import Awaitable, Callable, Sequence

from agentd.bus.protocol import Received
from agentd.core import Runtime

_SHARE = 0.1
_MARGIN_S = 4.0


class Polling:
    """Looks again and again. A pause is a tenth of the time since the last message, within bounds.

    So a busy queue is looked at often, an idle one seldom, and a message waits at most a tenth longer than the quiet
    before it was.
    """

    def __init__(self, runtime: Runtime, *, least_s: float, most_s: float) -> None:
        self._runtime = runtime
        self._least_s = least_s
        self._most_s = most_s
        self._came_at: float | None = None

    async def until_found(
        self, look: Callable[[float], Awaitable[Sequence[Received]]], *, wait_s: float
    ) -> Sequence[Received]:
        """What the first look brings that brings something: at once, after each pause, and when `wait_s` is over.

        A look is told how many seconds it may take: a hung one is cut as a long poll would be, a little above the wait.
        """
        until = self._runtime.monotonic() + wait_s
        while True:
            if found := await look(self._left(until) + _MARGIN_S):
                self._came_at = self._runtime.monotonic()
                return found
            left = self._left(until)
            if left <= 0:
                return []
            await self._runtime.sleep(min(self._pause_s(), left))

    def _left(self, until: float) -> float:
        return max(until - self._runtime.monotonic(), 0.0)

    def _pause_s(self) -> float:
        now = self._runtime.monotonic()
        if self._came_at is None:
            self._came_at = now
        return min(max((now - self._came_at) * _SHARE, self._least_s), self._most_s)
