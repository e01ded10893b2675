"""A receive that is never answered: is the queue lost, or do receives alone hang?"""

import asyncio

from agentd.bus.protocol import Queue
from agentd.core import AgentError, Runtime
from agentd.telemetry import get_logger

log = get_logger("bus")

ASK_S = 5.0
"""How long the queue has to show that it answers other calls."""


class Silence:
    """What is known of one queue's receives.

    A queue that answers nothing is lost, and no restart brings it back. One that answers everything but receives looks
    healthy from everywhere, and nothing comes from it: that is worth a restart.
    """

    def __init__(self, queue: Queue, runtime: Runtime) -> None:
        self._queue = queue
        self._runtime = runtime
        self._answered_at = runtime.monotonic()
        self._found: str | None = None

    @property
    def found(self) -> str | None:
        """What is wrong, or None."""
        return self._found

    def answered(self) -> None:
        """A receive was answered."""
        self._answered_at, self._found = self._runtime.monotonic(), None

    async def look_into(self, began_at: float, *, wait_s: float) -> None:
        """A receive has failed that began then. One that was refused within its wait has been answered after all."""
        silent_s = self._runtime.monotonic() - began_at
        if silent_s <= wait_s or not await self._answers():
            self._found = None
        elif self._answered_at <= began_at:
            self._found = (
                f"a receive from {self._queue.name} had no answer in {silent_s:.0f} s (it waits for {wait_s:g} s), "
                "although the queue answers other calls"
            )
            log.error("receive.hangs", queue=self._queue.name, silent_s=round(silent_s, 3))

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(ASK_S):
                await self._queue.depth()
        except (AgentError, TimeoutError):
            return False
        return True
