"""From a queue to dispositions carried out: receivers, rows, leases and acknowledgements, and an orderly end."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict

from agentd.bus.acks import Acks
from agentd.bus.config import BusConfig
from agentd.bus.deliveries import Deliveries, DrainSummary, Handle
from agentd.bus.deps import Deps
from agentd.bus.intake import Intake
from agentd.bus.leases import Leases
from agentd.bus.protocol import Queue
from agentd.bus.receivers import Receivers
from agentd.bus.sweeper import Sweeper
from agentd.bus.table import DeliveryTable
from agentd.core import AgentError, Runtime
from agentd.telemetry import Health, Metrics, get_logger

log = get_logger("bus")

Loop = Callable[[], Coroutine[None, None, None]]

_POLL_MARGIN_S = 5.0  # a hung poll is cut so long after its wait
_CALL_S = 15.0  # above the time-out of a call to a queue


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
        self._intake = intake
        self._deps = Deps(
            queue=queue,
            dead_letters=dead_letters,
            table=DeliveryTable(config.slots, metrics),
            runtime=runtime,
            metrics=metrics,
            health=health,
            config=config,
        )
        health.invariant("delivery table", self.table.check)
        self._leases = Leases(self._deps)
        self._acks = Acks(self._deps, self._leases)
        self._deliveries = Deliveries(self._deps, acks=self._acks, handle=handle)
        self._receivers = Receivers(self._deps, intake=intake, deliveries=self._deliveries)
        self._sweeper = Sweeper(self._deps, sweep=sweep)
        self._depth_pulse = self._deps.pulse("depth")
        self._draining = asyncio.Event()
        self._grace_s = 0.0
        self._releasing = False
        self._aborted = False
        self._deadline: asyncio.Timeout | None = None
        self._summary = DrainSummary()

    @property
    def table(self) -> DeliveryTable:
        """What is held, for status pages and tests."""
        return self._deps.table

    async def run(self) -> DrainSummary:
        """Work until drained. A cancellation ends it at once: what is held shows again when its lease runs out."""
        try:
            async with asyncio.TaskGroup() as group:
                background = [self._deps.runtime.spawn(group, loop(), name) for name, loop in self._loops()]
                self._receivers.start(group)
                await self._draining.wait()
                await self._finish()
                for task in background:
                    task.cancel()
        finally:
            self._receivers.stop()
            self._deps.stopped()
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
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(
                self._deps.runtime.monotonic() + (self._deps.config.release_timeout_s if self._releasing else 0)
            )

    def _loops(self) -> Iterator[tuple[str, Loop]]:
        yield "leases", self._leases.run
        yield "sweep", self._sweeper.run
        yield "depth", self._watch_depth
        yield from self._acks.loops()

    async def _watch_depth(self) -> None:
        while True:
            try:
                for queue in (self._deps.queue, self._deps.dead_letters):
                    self._depth_pulse.beat(f"asking for the depth of {queue.name}", within_s=_CALL_S)
                    async with asyncio.timeout(_CALL_S):
                        depth = await queue.depth()
                    self._deps.metrics.queue_depth.labels(queue=queue.name).set(depth.visible)
                self._depth_pulse.succeeded()
            except (AgentError, TimeoutError) as error:
                log.warning("depth.failed", error=str(error))
            self._depth_pulse.beat("sleeping", within_s=self._deps.config.depth_interval_s)
            await self._deps.runtime.sleep(self._deps.config.depth_interval_s)

    async def _finish(self) -> None:
        """The phases of a drain, each with its deadline."""
        if not self._aborted and await self._within(self._grace_s):
            return
        log.warning("drain.grace_over", **self.table.counts())
        self._releasing = True
        self._deliveries.release()
        poll_s = 0.0 if self._aborted else self._deps.config.wait_s + _POLL_MARGIN_S
        if await self._within(max(self._deps.config.release_timeout_s, poll_s)):
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
