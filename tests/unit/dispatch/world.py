"""Replicas of the dispatcher on one ledger file, and what stands around them: a recording outlet, a patient queue."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentd.core import (
    ArtifactStore,
    DeadLetter,
    Defer,
    Delete,
    Delivery,
    Disposition,
    Handler,
    Outcome,
    Retry,
    Runtime,
)
from agentd.dispatch import Deps, DispatchConfig, Dispatcher, Outlet, Ports
from agentd.dispatch.policy import Judge, Spend, let_in, spend_freely
from agentd.dispatch.ports import Prepare, no_plans
from agentd.dispatch.registry import index
from agentd.events import Event, Verify, accept_unsigned
from agentd.ledger import Claimed, LedgerConfig, Record
from agentd.ledger.sqlite import SqliteLedger
from agentd.telemetry import Health, Metrics, TelemetryConfig, Tracing
from tests.unit.dispatch.events import AUDIENCE
from tests.virtual_time import WallClock, virtual_runtime

OWNER_ID = "test-owner"
MOST_DELIVERIES = 200


@dataclass(frozen=True, slots=True)
class Told:
    """One progress report."""

    event_id: str
    attempt: int
    order: int
    step: str
    number: int
    of: int
    message: str


@dataclass(slots=True)
class Recorder:
    """An outlet that remembers. While `taking` is not set, the reports queue takes nothing."""

    reports: list[Record] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    taking: asyncio.Event = field(default_factory=asyncio.Event)

    async def deliver(self, record: Record) -> None:
        await self.taking.wait()
        self.reports.append(record)

    def progress(
        self, event: Event, claimed: Claimed, *, order: int, step: str, number: int, of: int, message: str
    ) -> None:
        self.told.append(Told(event.envelope.id, claimed.attempt, order, step, number, of, message))

    def outcomes(self) -> list[Outcome | None]:
        """What was reported, in order."""
        return [record.outcome for record in self.reports]


@dataclass(slots=True)
class Replica:
    """One dispatcher with a ledger connection, a clock and metrics of its own."""

    dispatcher: Dispatcher
    ledger: SqliteLedger
    outlet: Recorder
    runtime: Runtime
    clock: WallClock
    metrics: Metrics
    health: Health
    group: asyncio.TaskGroup
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)  # of whatever the test has begun

    async def handle(self, delivery: Delivery) -> Disposition:
        """One delivery."""
        return await self.dispatcher.handle(delivery)

    def begin(self, delivery: Delivery) -> asyncio.Task[Disposition]:
        """One delivery, in the background."""
        task = self.group.create_task(self.handle(delivery))
        self.tasks.append(task)
        return task

    async def to_the_end(self, delivery: Delivery) -> Sequence[Disposition]:
        """Deliver as a queue would, each time after the delay that was asked for, until the message is gone."""
        given: list[Disposition] = []
        while len(given) < MOST_DELIVERIES:
            now = self.runtime.now()
            given.append(await self.handle(replace(delivery, receive_count=len(given) + 1, received_at=now)))
            match given[-1]:
                case Retry(delay_s=delay_s) | Defer(delay_s=delay_s):
                    await self.runtime.sleep(delay_s)
                case DeadLetter() | Delete():
                    return given
        raise AssertionError(f"no end after {MOST_DELIVERIES} deliveries: {given[-1]}")

    def begin_to_the_end(self, delivery: Delivery) -> asyncio.Task[Sequence[Disposition]]:
        """The same, in the background."""
        task = self.group.create_task(self.to_the_end(delivery))
        self.tasks.append(task)
        return task

    async def record(self, key: str) -> Record:
        """What the ledger knows of an event."""
        record = await self.ledger.lookup(key)
        assert record is not None, f"{key} is not in the ledger"
        return record

    async def whats(self, key: str) -> Sequence[str]:
        """What happened to an event, in order."""
        return [transition.what for transition in await self.ledger.history(key)]

    async def leases(self) -> int:
        """Leases in the ledger that nobody has given back."""
        return (await self.ledger.stats()).leases

    def count(self, name: str, **labels: str) -> float:
        """A metric's value; 0 when it was never touched."""
        return self.metrics.registry.get_sample_value(f"agentd_{name}", labels) or 0.0

    async def crash(self) -> None:
        """Stop like a process that was killed: nothing reaches the ledger any more, leases are not given back."""
        await self.ledger.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


def handlers_of(*handlers: Handler) -> Mapping[str, Handler]:
    """Handlers by event type."""
    return index([("tests", handler) for handler in handlers])


@dataclass(slots=True)
class World:
    """Replicas on one ledger file."""

    path: Path
    group: asyncio.TaskGroup
    stack: AsyncExitStack

    async def replica(
        self,
        *handlers: Handler,
        name: str = "a",
        outlet: Outlet | None = None,
        artifacts: ArtifactStore | None = None,
        ports: Mapping[type, object] | None = None,
        verify: Verify = accept_unsigned,
        judge: Judge = let_in,
        spend: Spend = spend_freely,
        prepare_plan: Prepare = no_plans,
        store: type[SqliteLedger] = SqliteLedger,
        busy_timeout_s: float = 5.0,
        **config: float,
    ) -> Replica:
        """One more replica, at work. `config` is of the dispatcher; clocks agree unless it says otherwise."""
        ledger = await store.open(
            LedgerConfig(path=self.path, busy_timeout_s=busy_timeout_s), observe=lambda _what, _result, _seconds: None
        )
        self.stack.push_async_callback(ledger.close)
        clock, recorder, metrics = WallClock(), Recorder(), Metrics()
        runtime = virtual_runtime(clock)
        health = Health(runtime)
        recorder.taking.set()
        deps = Deps(
            audience=AUDIENCE,
            owner_id=OWNER_ID,
            replica=name,
            config=DispatchConfig.model_validate({"clock_skew_s": 0, **config}),
            handlers=handlers_of(*handlers),
            ports=Ports(ports or {}),
            ledger=ledger,
            outlet=recorder if outlet is None else outlet,
            artifacts=artifacts,
            runtime=runtime,
            metrics=metrics,
            tracing=Tracing(TelemetryConfig(), version="1", replica=name),
            verify=verify,
            judge=judge,
            spend=spend,
            prepare_plan=prepare_plan,
        )
        dispatcher = Dispatcher(deps, health)
        replica = Replica(dispatcher, ledger, recorder, runtime, clock, metrics, health, self.group)
        replica.tasks.append(self.group.create_task(dispatcher.run()))
        self.stack.callback(lambda: [task.cancel() for task in replica.tasks])
        return replica

    @contextmanager
    def file_locked(self) -> Iterator[None]:
        """While another process writes to the file and does not come to an end, no replica can."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


@asynccontextmanager
async def new_world(folder: Path) -> AsyncIterator[World]:
    """An empty ledger; what still runs when the block ends is stopped."""
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        yield World(folder / "ledger.db", group, stack)
