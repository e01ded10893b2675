"""From a queue to dispositions carried out: receivers, rows, leases and acknowledgements, and an orderly end."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict

from agentd.bus.acks import Acks
from agentd.bus.config import BusConfig
from agentd.bus.deliveries import Deliveries, DrainSummary, Handle
from agentd.bus.intake import Intake
from agentd.bus.leases import Leases
from agentd.bus.protocol import Queue
from agentd.bus.receivers import Receivers
from agentd.bus.sweeper import Sweeper
from agentd.bus.table import DeliveryTable
from agentd.core import AgentError, Runtime
from agentd.telemetry import Health, Metrics, Pulse, get_logger

log = get_logger("bus")

Loop = Callable[[], Coroutine[None, None, None]]

_CALLS_LATE_S = 60.0  # a loop whose every wait is bounded by a call's own time-out iterates well within this
_POLL_MARGIN_S = 5.0  # a hung poll is cut so long after its wait


class Consumer:
    """Receives from `queue`, hands each message to `handle`, and carries its disposition out.

    Both queues are open. Build it inside the running loop. `sweep` is asked about dead letters that the queue moved by
    itself. An unexpected exception of `handle` becomes a retry; anything that fails here ends `run` with its error.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        dead_letters: Queue,
        handle: Handle,
        sweep: Handle,
        intake: Intake,
        runtime: Runtime,
        metrics: Metrics,
        health: Health,
        config: BusConfig,
    ) -> None:
        self._queue = queue
        self._dead_letters = dead_letters
        self._intake = intake
        self._runtime = runtime
        self._metrics = metrics
        self._health = health
        self._config = config
        self._pulses: list[Pulse] = []
        self._draining = asyncio.Event()
        self._grace_s = 0.0
        self._aborted = False
        self._releasing = False
        self._deadline: asyncio.Timeout | None = None
        self._summary = DrainSummary()
        self.table = DeliveryTable(config.slots, metrics)
        health.invariant("delivery table", self.table.check)
        self._leases = Leases(
            queue=queue, table=self.table, runtime=runtime, metrics=metrics, pulse=self._pulse("leases"), config=config
        )
        self._acks = Acks(
            queue=queue,
            dead_letters=dead_letters,
            table=self.table,
            leases=self._leases,
            runtime=runtime,
            metrics=metrics,
            pulse=self._pulse,
            config=config,
        )
        self._deliveries = Deliveries(
            queue=queue,
            table=self.table,
            acks=self._acks,
            handle=handle,
            runtime=runtime,
            metrics=metrics,
            config=config,
        )
        self._receivers = Receivers(
            queue=queue,
            table=self.table,
            intake=intake,
            accept=self._deliveries.accept,
            runtime=runtime,
            metrics=metrics,
            health=health,
            config=config,
        )
        health.invariant("receivers", self._receivers.check)
        self._sweeper = Sweeper(
            dead_letters=dead_letters,
            sweep=sweep,
            runtime=runtime,
            pulse=self._pulse("sweep", idle_s=config.sweep_interval_s),
            config=config,
        )
        self._depth_pulse = self._pulse("depth", idle_s=config.depth_interval_s)

    async def run(self) -> DrainSummary:
        """Work until drained. A cancellation ends it at once: what is held shows again when its lease runs out."""
        try:
            async with asyncio.TaskGroup() as group:
                background = [self._runtime.spawn(group, loop(), name) for name, loop in self._loops()]
                self._receivers.start(group)
                await self._draining.wait()
                await self._finish()
                for task in background:
                    task.cancel()
        finally:
            self._receivers.stop()
            for pulse in self._pulses:
                self._health.stopped(pulse)
        log.info("drain.done", **asdict(self._summary))
        return self._summary

    def drain(self, grace_s: float) -> None:
        """Receive no more, give back what has not begun, let the rest finish within `grace_s`; `run` then returns.

        The first call counts. It waits for open polls, up to `wait_s` and a little; what they bring is given back at once.
        """
        if self._draining.is_set():
            return
        log.info("drain.started", grace_s=grace_s, **self.table.counts())
        self._grace_s = grace_s
        self._draining.set()
        self._intake.pause("draining")
        self._receivers.stop()
        self._sweeper.stop()
        self._summary = self._deliveries.drain()

    def abort(self) -> None:
        """Drain without grace: running deliveries are cancelled and given back, open polls are cut.

        What a cut poll would have brought, given back or new, is hidden for one lease: the queue does not know that it was cut.
        """
        self.drain(0.0)
        if self._aborted:
            return
        self._aborted = True
        self._receivers.cut()
        if self._deadline is not None:
            self._deadline.reschedule(
                self._runtime.monotonic() + (self._config.release_timeout_s if self._releasing else 0)
            )

    def _loops(self) -> Iterator[tuple[str, Loop]]:
        yield "leases", self._leases.run
        yield "sweep", self._sweeper.run
        yield "depth", self._watch_depth
        yield from self._acks.loops()

    def _pulse(self, loop: str, *, idle_s: float = 0.0) -> Pulse:
        pulse = self._health.pulse(f"{self._queue.name}-{loop}", late_after_s=2 * idle_s + _CALLS_LATE_S)
        self._pulses.append(pulse)
        return pulse

    async def _watch_depth(self) -> None:
        while True:
            try:
                for queue in (self._queue, self._dead_letters):
                    depth = await queue.depth()
                    self._metrics.queue_depth.labels(queue=queue.name).set(depth.visible)
                self._depth_pulse.succeeded()
            except AgentError as error:
                log.warning("depth.failed", reason=error.reason, error=error.message)
                self._depth_pulse.beat()
            await self._runtime.sleep(self._config.depth_interval_s)

    async def _finish(self) -> None:
        """The phases of a drain, each with its deadline."""
        if not self._aborted and await self._within(self._grace_s):
            return
        log.warning("drain.grace_over", **self.table.counts())
        self._releasing = True
        self._deliveries.release()
        poll_s = 0.0 if self._aborted else self._config.wait_s + _POLL_MARGIN_S
        if await self._within(max(self._config.release_timeout_s, poll_s)):
            return
        log.error("drain.stuck", messages=[row.message_id for row in self.table.rows()])
        self._receivers.cut()
        for row in self.table.rows():
            row.give_up()

    async def _within(self, seconds: float) -> bool:
        """Whether everything has come to rest in time."""
        try:
            async with asyncio.timeout(seconds) as self._deadline:
                await self._receivers.ended()
                await self._sweeper.at_rest()
                await self.table.empty()
        except TimeoutError:
            return False
        finally:
            self._deadline = None
        return True
