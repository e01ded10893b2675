"""Watches the event loop from another thread: what blocks the loop cannot be told by the loop itself."""

import asyncio
from concurrent.futures import Future

from agentd.telemetry.config import TelemetryConfig
from agentd.telemetry.health import Health
from agentd.telemetry.logs import get_logger
from agentd.telemetry.metrics import Metrics
from agentd.telemetry.whereabouts import whereabouts

log = get_logger("telemetry")


class Watchdog:
    """Has the watched loop look at its own health, again and again, and says when it does not answer.

    Runs on a loop of another thread than the watched one's. `thread_id` is the watched loop's.
    """

    def __init__(
        self,
        config: TelemetryConfig,
        health: Health,
        metrics: Metrics,
        *,
        watched: asyncio.AbstractEventLoop,
        thread_id: int,
    ) -> None:
        self._config = config
        self._health = health
        self._metrics = metrics
        self._watched = watched
        self._thread_id = thread_id
        self._looked_at = 0.0
        self._silent_s = 0.0
        self._failure: str | None = None

    async def run(self) -> None:
        """Until cancelled."""
        clock = asyncio.get_running_loop().time
        self._looked_at = clock()
        while True:
            asked_at = clock()
            await self._answer(asyncio.run_coroutine_threadsafe(self._look(), self._watched))
            self._looked_at = clock()
            self._observe(self._looked_at - asked_at)
            await asyncio.sleep(self._config.lag_interval_s)

    def ailments(self) -> tuple[str, ...]:
        """Why the process is not live; empty when it is."""
        if self._blocked:
            return (f"the event loop has not answered for {self._silent_s:.0f} s: {self._whereabouts()}",)
        if self._failure is not None:
            return (self._failure,)
        return self._health.checkup.ailments

    @property
    def checkup_age_s(self) -> float:
        """Seconds since the last look."""
        return asyncio.get_running_loop().time() - self._looked_at

    @property
    def _blocked(self) -> bool:
        return self._silent_s >= self._config.lag_late_after_s

    async def _look(self) -> None:
        """On the watched loop."""
        self._health.look()

    async def _answer(self, look: Future[None]) -> None:
        """Wait for the look's end."""
        answer = asyncio.wrap_future(look)
        try:
            await self._wait_for(answer)
        finally:
            answer.cancel()
        error = answer.exception()
        self._failure = None if error is None else f"looking at health failed with {type(error).__name__}"
        if error is not None:
            log.error("health.look_failed", exc_info=error)

    async def _wait_for(self, answer: asyncio.Future[None]) -> None:
        """Count the turns meanwhile, and not the time: a process that was stopped as a whole has not been blocked."""
        interval_s = self._config.lag_interval_s
        while not (await asyncio.wait({answer}, timeout=interval_s))[0]:
            was_blocked = self._blocked
            self._silent_s += interval_s
            self._metrics.loop_lag.set(self._silent_s)
            if self._blocked and not was_blocked:
                log.error("loop.blocked", silent_s=round(self._silent_s, 3), whereabouts=self._whereabouts())
        self._silent_s = 0.0

    def _observe(self, lag_s: float) -> None:
        self._metrics.loop_lag.set(lag_s)
        if lag_s > self._config.lag_warn_s:
            log.warning("loop.late", lag_s=round(lag_s, 3), allowed_s=self._config.lag_warn_s)

    def _whereabouts(self) -> str:
        return whereabouts(self._thread_id, self._watched)
