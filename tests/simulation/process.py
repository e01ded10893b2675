"""One replica as a process: the real parts, wired and supervised as the daemon does it, on simulated queues, disk and cloud."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import cast

from agentd import __version__
from agentd.app.customer import open_boundary
from agentd.app.operations import AgentOperations
from agentd.app.parts import Parts, Replica
from agentd.app.platform import Platform
from agentd.app.queues import Queues
from agentd.app.stopping import ExitCode, Stop
from agentd.app.supervision import Supervisor
from agentd.app.watching import watch
from agentd.app.wiring import wire
from agentd.audit import OpenAudit
from agentd.bus import Intake
from agentd.core import ArtifactStore, Handler, Runtime
from agentd.dispatch import load_handlers
from agentd.ledger.sqlite import SqliteLedger
from agentd.platform import Cluster
from agentd.settings import Settings
from agentd.telemetry import Health, Metrics, Tracing
from proxy.server import Proxy
from tests.simulation.audit import SimAudit, SimAuditLog
from tests.simulation.loop import START, Owner, SimLoop
from tests.simulation.queues import SimQueue

Ports = Callable[[Metrics, Runtime], dict[type, object]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process is started in. `queue` gives it its end of a queue by name.

    `intended` is told of the event and the object of each write that a process announces.
    """

    loop: SimLoop
    settings: Settings
    ports: Callable[[str, Metrics, Runtime], dict[type, object]]
    queue: Callable[["Process", str], SimQueue]
    artifacts: ArtifactStore | None
    handlers: Mapping[str, Handler]
    intended: Callable[["Process", str, str], None]


class WallClock:
    """A replica's wall clock: the true time, and `ahead_s` more."""

    def __init__(self, loop: SimLoop, ahead_s: float) -> None:
        self._loop = loop
        self.ahead_s = ahead_s

    def now(self) -> float:
        """Seconds since the epoch."""
        return START + self._loop.time() + self.ahead_s


@dataclass(eq=False)
class Process:
    """A replica from its start to its end. `slot` is its number among the replicas, `life` counts the processes there."""

    slot: int
    life: int
    owner: Owner
    clock: WallClock
    around: Surroundings
    random: Random
    ended: Callable[["Process"], None]
    replica: Replica = field(init=False)
    told_to_stop_at: float | None = None
    back_after_s: float | None = None
    paused_until: float = 0.0
    was_paused: bool = False
    aborts: bool = False
    hard_exit_at: float | None = None
    exit: ExitCode | None = None
    failure: BaseException | None = None
    killed: bool = False
    is_closing: bool = False
    """Its parts have ended; what they were made of is put away."""

    @property
    def name(self) -> str:
        """Unique among all processes of a run."""
        return self.owner.name

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return not self.owner.dead

    @property
    def parts(self) -> Parts | None:
        """What works there, once it is put together."""
        return self.replica.parts

    def was_paused_within(self, seconds: float) -> bool:
        """Whether it has stood still lately."""
        return self.was_paused and self.around.loop.time() - self.paused_until < seconds

    def start(self) -> None:
        """Begin, in the process's own context."""
        loop = self.around.loop
        runtime = Runtime(wall=self.clock.now, random=self.random)
        metrics = Metrics()
        context = loop.context_of(self.owner)
        self.replica = context.run(self._replica, runtime, metrics)
        watch(self.replica)
        task = context.run(loop.create_task, self._main(), name="main")
        task.add_done_callback(self._end, context=loop.server_context)

    def tell_to_stop(self) -> None:
        """SIGTERM."""
        loop = self.around.loop
        if self.told_to_stop_at is None:
            self.told_to_stop_at = loop.time()
        loop.call_soon(self.replica.stop.ask, context=loop.context_of(self.owner))

    def _replica(self, runtime: Runtime, metrics: Metrics) -> Replica:
        return Replica(
            name=self.name,
            settings=self.around.settings,
            runtime=runtime,
            stop=Stop(),
            metrics=metrics,
            health=Health(runtime),
            intake=Intake(metrics),
            started_at=runtime.now(),
            handlers=self.around.handlers,
        )

    async def _main(self) -> ExitCode:
        async with AsyncExitStack() as stack:
            parts = await self._assemble(stack)
            try:
                return await Supervisor(self.replica, parts, self._exit_hard_after).run()
            finally:
                self.is_closing = True

    async def _assemble(self, stack: AsyncExitStack) -> Parts:
        settings, replica, around = self.around.settings, self.replica, self.around
        ledger = await SqliteLedger.open(settings.ledger, observe=lambda *_: None)
        stack.push_async_callback(ledger.close)
        replica.health.invariant("ledger", ledger.check)
        queues = Queues(*(around.queue(self, name) for name in ("commands", "dead-letters", "reports")))
        ports = around.ports(f"r{self.slot}", replica.metrics, replica.runtime)
        cluster = ports.get(Cluster)
        platform = Platform(ports, cluster if isinstance(cluster, Cluster) else None, around.artifacts)
        proxy = Proxy(
            settings.proxy,
            AgentOperations(replica, None),
            platform.cluster,
            owner_id=settings.owner_id,
            runtime=replica.runtime,
            metrics=replica.metrics,
            health=replica.health,
        )
        tracing = Tracing(settings.telemetry, version=__version__, replica=self.name)
        audit = SimAudit(SimAuditLog(partial(around.intended, self)))
        boundary = await open_boundary(stack, replica, ledger, audit.log)
        parts = wire(
            replica,
            queues=queues,
            ledger=ledger,
            platform=platform,
            boundary=boundary,
            audit=cast("OpenAudit", audit),
            tracing=tracing,
            proxy=proxy,
        )
        # Nothing of the log has to be kept, or told: it is there for its entries alone.
        replica.parts = replace(parts, audit=None)
        return replica.parts

    def _exit_hard_after(self, seconds: float) -> None:
        """The platform's last resort, and the daemon's own."""
        loop = self.around.loop
        loop.call_later(seconds, self._exit_hard)

    def _exit_hard(self) -> None:
        self.hard_exit_at = self.around.loop.time()
        self.killed = True

    def _end(self, task: "asyncio.Task[ExitCode]") -> None:
        if not self.alive:
            return  # killed after its last step, before anybody has heard of its end
        self.failure = task.exception()
        self.exit = None if self.failure else task.result()
        self.ended(self)


def ledger_path(folder: Path) -> Path:
    """Where the replicas of one run keep their ledger."""
    return folder / "ledger.db"


def handlers_with(*, max_attempts: int, cap_s: float) -> Mapping[str, Handler]:
    """The real ones, with other bounds of their retries."""
    return {
        name: replace(handler, retry=replace(handler.retry, max_attempts=max_attempts, cap_s=cap_s))
        for name, handler in HANDLERS.items()
    }


HANDLERS: Mapping[str, Handler] = load_handlers()
