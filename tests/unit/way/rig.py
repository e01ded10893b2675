"""A dispatcher on a real ledger, with handlers of the tests' own and a wall clock that they can move."""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from agentd.cli.control_plane import event
from agentd.cli.stack import CLUSTER_ID, TENANT_ID
from agentd.core import ArtifactStore, Context, Delivery, Disposition, Handler, Phase, RetryPolicy, Runtime
from agentd.dispatch import Deps, DispatchConfig, Dispatcher, Ports
from agentd.events import Audience, BuildCleanup, Event, EventData, ProjectCreate, ProjectDelete
from agentd.ledger import Claimed, LedgerConfig, Record
from agentd.ledger.sqlite import SqliteLedger
from agentd.telemetry import Health, Metrics, TelemetryConfig, Tracing

OWNER = "owner"
# The same call makes the same event, to the letter.
MADE = {"time": "2026-01-01T00:00:00Z"}


class Clock:
    """The wall clock, which may jump."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


class Told:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.steps: list[str] = []
        self.stuck = False

    async def deliver(self, record: Record) -> None:
        if self.stuck:
            raise TimeoutError
        self.records.append(record)

    def progress(
        self, event: Event, claimed: Claimed, *, order: int, step: str, number: int, of: int, message: str
    ) -> None:
        self.steps.append(f"{order}:{number}/{of} {step}")


Work = Callable[[Context, Any], Awaitable[None]]  # any event's data


async def nothing(_ctx: Context, _data: EventData) -> None:
    """Find everything as it should be."""


@dataclass(slots=True)
class Rig:
    """One replica and what it tells."""

    dispatcher: Dispatcher
    ledger: SqliteLedger
    told: Told
    clock: Clock
    metrics: Metrics
    phases: list[Phase] = field(default_factory=list)

    async def give(self, body: str, *, message_id: str | None = None, **attributes: Any) -> Disposition:
        """Deliver a message; what is to become of it."""
        return await self.dispatcher.handle(self.delivery(body, message_id=message_id, **attributes))

    def delivery(self, body: str, *, message_id: str | None = None, **attributes: Any) -> Delivery:
        """A delivery, first of its message unless told otherwise."""
        return Delivery(
            message_id=message_id or uuid_of(body),
            body=body,
            received_at=self.clock(),
            queue="commands",
            on_phase=self.phases.append,
            **attributes,
        )

    async def record(self, event_id: str) -> Record:
        """What the ledger knows of an event."""
        record = await self.ledger.lookup(f"event/{event_id}")
        assert record is not None
        return record


def handlers(
    *, timeout_s: float = 5.0, retry: RetryPolicy | None = None, steps: tuple[str, ...] = ("one", "two"), **work: Work
) -> dict[str, Handler]:
    """Handlers of the test's own: `create`, `delete`, `cleanup`; what is not given finds nothing to do."""
    policy = retry or RetryPolicy(max_attempts=3, base_s=2.0, cap_s=8.0)
    kinds: dict[str, type[EventData]] = {"create": ProjectCreate, "delete": ProjectDelete, "cleanup": BuildCleanup}
    return {
        kind.type: Handler(
            event=kind, run=work.get(name, nothing), steps=steps, timeout_s=timeout_s, retry=policy, permissions=()
        )
        for name, kind in kinds.items()
    }


@asynccontextmanager
async def replica(
    path: Path,
    carry_out: dict[str, Handler],
    *,
    name: str = "replica-1",
    clock: Clock | None = None,
    artifacts: ArtifactStore | None = None,
    **config: Any,
) -> AsyncIterator[Rig]:
    """A dispatcher on the ledger in the folder; several may share it."""
    clock, told, metrics = clock or Clock(), Told(), Metrics()
    runtime = Runtime(wall=clock, random=random.Random(1))
    ledger = await SqliteLedger.open(LedgerConfig(path=path / "ledger.db"), observe=lambda *_observed: None)
    quick: dict[str, Any] = {"lane_wait_s": 0.3, "step_retry_s": 0.2, "step_retry_cap_s": 0.05, "lease_s": 5.0}
    deps = Deps(
        audience=Audience(TENANT_ID, CLUSTER_ID),
        owner_id=OWNER,
        replica=name,
        config=DispatchConfig(**(quick | config)),
        handlers=carry_out,
        ports=Ports({}),
        ledger=ledger,
        outlet=told,
        artifacts=artifacts,
        runtime=runtime,
        metrics=metrics,
        tracing=Tracing(TelemetryConfig(), version="0", replica=name),
    )
    try:
        yield Rig(Dispatcher(deps, Health(runtime)), ledger, told, clock, metrics)
    finally:
        await ledger.close()


def uuid_of(name: str) -> str:
    """An id that follows from a name."""
    return str(uuid5(NAMESPACE_URL, name))


def create(project: str = "alpha", generation: int = 1, *, event_id: str | None = None, **attributes: str) -> str:
    """A create event; its id follows from project and generation unless given."""
    data = ProjectCreate(project_id=uuid_of(project), project_name=project)
    return event(
        data, generation, event_id=event_id or uuid_of(f"create {project} {generation}"), **(MADE | attributes)
    )


def delete(project: str = "alpha", generation: int = 2, **attributes: str) -> str:
    """A delete event."""
    data = ProjectDelete(project_id=uuid_of(project), project_name=project)
    return event(data, generation, event_id=uuid_of(f"delete {project} {generation}"), **(MADE | attributes))


def cleanup(build: str, project: str = "alpha") -> str:
    """A clean-up event."""
    data = BuildCleanup(build_id=uuid_of(build), project_id=uuid_of(project), project_name=project)
    return event(data, 1, event_id=uuid_of(f"cleanup {build}"), **MADE)
