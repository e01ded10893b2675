"""Logs in a folder, written by the log itself, and hands that do to them what nobody should."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentd.audit import AuditConfig, FileAuditLog, OpenAudit, open_audit
from agentd.core import AuditKind, AuditStore, Runtime, system_runtime
from agentd.telemetry import Health, Metrics
from tests.virtual_time import VirtualTimeLoop

Json = Any  # an entry, as its line has it

EVENT = "6f0c1a2b-0000-4000-8000-000000000001"
SMALL = 4096
"""A segment of this size holds about ten entries."""


@dataclass
class Rig:
    """One replica's log that is open."""

    folder: Path
    audit: OpenAudit
    metrics: Metrics
    health: Health

    @property
    def log(self) -> FileAuditLog:
        return self.audit.log

    def append(self, number: int = 1) -> None:
        """An entry like most."""
        self.log.append(AuditKind.EVENT_CLAIMED, event_id=EVENT, subject=f"environment/{EVENT}", attempt=number)

    def value(self, name: str, **labels: str) -> float:
        """A metric."""
        return self.metrics.registry.get_sample_value(f"agentd_audit_{name}", labels) or 0.0


@asynccontextmanager
async def opened(
    folder: Path,
    replica: str = "replica-1",
    *,
    store: AuditStore | None = None,
    runtime: Runtime | None = None,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """A log, until the block ends."""
    runtime, metrics = runtime or system_runtime(), Metrics()
    health = Health(runtime)
    config = AuditConfig.model_validate(settings)
    async with open_audit(
        config, folder, replica=replica, store=store, runtime=runtime, metrics=metrics, health=health
    ) as audit:
        yield Rig(folder, audit, metrics, health)


async def written(folder: Path, entries: int, replica: str = "replica-1", **settings: Any) -> None:
    """A log that was opened, written to and closed."""
    async with opened(folder, replica, **settings) as rig:
        for number in range(entries):
            rig.append(number)


def on_virtual_time(work: Callable[[], Any]) -> None:
    """Run a coroutine function where waiting takes no time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(work())


def files(folder: Path) -> Sequence[Path]:
    """Every file of the log, in order."""
    return sorted(folder.rglob("*.jsonl"))


def entries(folder: Path) -> Sequence[Json]:
    """Every entry, in the order of files."""
    return [json.loads(line) for file in files(folder) for line in file.read_bytes().splitlines()]


def kinds(folder: Path) -> Sequence[str]:
    """The kind of every entry."""
    return [entry["kind"] for entry in entries(folder)]


@dataclass
class MemoryStore:
    """A place for copies that does what it is told. `errors` are raised one after the other, then none."""

    kept: dict[str, bytes] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)

    async def put(self, name: str, data: bytes) -> None:
        if self.errors:
            raise self.errors.pop(0)
        assert self.kept.setdefault(name, data) == data
