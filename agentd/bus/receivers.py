"""As many open receives as the load asks for, and never more than there are slots."""

import asyncio
from functools import partial

from agentd.bus.deliveries import Deliveries
from agentd.bus.deps import Deps
from agentd.bus.intake import Intake
from agentd.bus.silence import ASK_S, Silence
from agentd.core import PermanentError, Reason, TransientError
from agentd.telemetry import Pulse, get_logger

log = get_logger("bus")

_BEAT_S = 5.0
_CUT_S = 6.0  # a poll that the adapter has not cut so long after its wait is cut here


class Receivers:
    """A receiver that comes back full brings another one into being; one that comes back empty ends, down to the least.

    While most messages are only given back, the least are at work, and rest: a flood that finds no room must not crowd
    out all else.
    A slot is taken before the receive; while nothing may be received, a receiver holds nothing and can be cancelled. An
    open receive is never cancelled but by `cut`.
    """

    def __init__(self, deps: Deps, *, intake: Intake, deliveries: Deliveries) -> None:
        self._queue = deps.queue
        self._table = deps.table
        self._runtime = deps.runtime
        self._metrics = deps.metrics
        self._health = deps.health
        self._config = deps.config
        self._intake = intake
        self._deliveries = deliveries
        self._silence = Silence(deps.queue, deps.runtime)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._leaving: set[int] = set()
        self._polling: set[int] = set()
        self._started = False
        self._stopping = False
        deps.health.invariant("receivers", self.check)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Start the least number of them."""
        self._started = True
        for _ in range(0 if self._stopping else self._config.receivers_min):
            self._add(group)

    def stop(self) -> None:
        """No new receive starts from now on; open ones return by themselves."""
        self._stopping = True
        for index, task in self._tasks.items():
            if index not in self._polling:
                task.cancel()

    def cut(self) -> None:
        """Cancel open receives too: what they have been handed is hidden until its visibility ends."""
        for task in self._tasks.values():
            task.cancel()

    async def ended(self) -> None:
        """Wait until none is left."""
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    def check(self) -> str | None:
        """What is wrong, or None: a queue that nobody receives from looks healthy otherwise."""
        if not self._started or self._stopping:
            return None
        at_work = len(self._tasks) - len(self._leaving)
        if at_work < self._config.receivers_min:
            return f"{at_work} receivers at work, at least {self._config.receivers_min} are needed"
        return None if self._intake.reasons else self._silence.found

    def _add(self, group: asyncio.TaskGroup) -> None:
        index = next(n for n in range(self._config.receivers_max) if n not in self._tasks)
        pulse = self._health.pulse(f"{self._queue.name}-receiver-{index}")
        task = self._runtime.spawn(group, self._run(group, index, pulse), pulse.loop)
        self._tasks[index] = task
        task.add_done_callback(partial(self._ended, index, pulse))
        self._count()

    def _ended(self, index: int, pulse: Pulse, _done: asyncio.Task[None]) -> None:
        del self._tasks[index]
        self._leaving.discard(index)
        self._health.stopped(pulse)
        self._count()

    def _count(self) -> None:
        self._metrics.receivers.labels(queue=self._queue.name).set(len(self._tasks))

    async def _run(self, group: asyncio.TaskGroup, index: int, pulse: Pulse) -> None:
        failures = 0
        while not self._stopping:
            await self._ready(pulse)
            began_at = self._runtime.monotonic()
            pulse.beat("receiving", within_s=self._config.wait_s)
            try:
                asked, received = await self._receive(group, index)
            except (TransientError, PermanentError) as error:
                failures += 1
                pulse.beat("asking whether the queue answers", within_s=ASK_S)
                await self._silence.look_into(began_at, wait_s=self._config.wait_s)
                await self._back_off(error, failures, pulse)
                continue
            failures = 0
            self._silence.answered()
            pulse.succeeded()
            await asyncio.sleep(0)  # what has come begins before more is asked for
            deferred = self._deliveries.mostly_deferred
            if received == asked == self._queue.limits.max_batch and not deferred:
                self._grow(group)
            elif (received == 0 or deferred) and len(self._tasks) - len(self._leaving) > self._config.receivers_min:
                self._leaving.add(index)  # at once: another one may decide before this task is done
                return
            if deferred:
                await self._rest()

    async def _rest(self) -> None:
        """Leave the event loop to others for as long as what has just come keeps it busy."""
        began_at = self._runtime.monotonic()
        await asyncio.sleep(0)
        await self._runtime.sleep(self._runtime.monotonic() - began_at)

    async def _ready(self, pulse: Pulse) -> None:
        """Wait until there is a slot and nobody has paused the intake."""
        while self._intake.reasons or not self._table.free:
            pulse.beat("waiting for a free slot", within_s=_BEAT_S)
            try:
                async with asyncio.timeout(_BEAT_S):
                    await self._intake.open()
                    await self._table.slot_free()
            except TimeoutError:
                continue

    async def _receive(self, group: asyncio.TaskGroup, index: int) -> tuple[int, int]:
        """How many were asked for, and how many came."""
        config = self._config
        with self._table.reserve(self._queue.limits.max_batch) as reservation:
            asked = reservation.size
            self._polling.add(index)
            try:
                async with asyncio.timeout(config.wait_s + _CUT_S):
                    messages = await self._queue.receive(asked, wait_s=config.wait_s, visibility_s=config.visibility_s)
            except TimeoutError as error:
                message = f"receive on queue {self._queue.name}: no answer in {config.wait_s + _CUT_S:g} s"
                raise TransientError(Reason.UNAVAILABLE, message) from error
            finally:
                self._polling.discard(index)
            self._deliveries.accept(group, messages, reservation)
        result = "empty" if not messages else "full" if len(messages) == asked else "some"
        self._metrics.receives.labels(queue=self._queue.name, result=result).inc()
        return asked, len(messages)

    async def _back_off(self, error: TransientError | PermanentError, failures: int, pulse: Pulse) -> None:
        self._metrics.receives.labels(queue=self._queue.name, result="failed").inc()
        ceiling = self._config.receive_backoff.ceiling_s(failures)
        asked = error.retry_after if isinstance(error, TransientError) else None
        pause = min(max(asked or 0.0, self._runtime.full_jitter(ceiling)), self._config.receive_backoff_cap_s)
        log.warning("receive.failed", queue=self._queue.name, reason=error.reason, error=error.message, pause_s=pause)
        if not self._stopping:
            pulse.beat("pausing after a failed receive", within_s=pause)
            await self._runtime.sleep(pause)

    def _grow(self, group: asyncio.TaskGroup) -> None:
        if self._table.free and len(self._tasks) < self._config.receivers_max and not self._stopping:
            self._add(group)
