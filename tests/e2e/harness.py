"""The demo's story, told to a daemon that a supervisor starts again whenever it dies."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentd.bus import SqsQueue
from agentd.cli.control_plane import ControlPlane, control_plane
from agentd.cli.demo import Teller
from agentd.cli.stack import DaemonProcess, Stack, open_queues, start_stack
from agentd.cli.story import Stage, story
from agentd.core import system_runtime
from agentd.ledger import LedgerConfig
from agentd.ledger.sqlite import SqliteLedger

# Leases as short as they go, so that a crash is made up for within seconds.
SHORT = {
    "AGENTD_BUS__VISIBILITY_S": "3",
    "AGENTD_BUS__LEASE_TICK_S": "0.2",
    "AGENTD_DISPATCH__LEASE_S": "1.5",
    "AGENTD_DISPATCH__DEFER_MIN_S": "0.2",
    "AGENTD_REPORTS__LEFT_BEHIND_S": "1",
    "AGENTD_REPORTS__SWEEP_INTERVAL_S": "0.5",
}


@dataclass(frozen=True, slots=True)
class World:
    """What is compared between two tellings: the reports, and what exists in the end.

    A message that is no valid event is reported under the transport's id, which is another one in each telling.
    """

    reports: frozenset[tuple[str, str, str | None, bool]]
    repositories: tuple[tuple[object, ...], ...]
    dead_letters: frozenset[str | None]
    leases: int
    outbox: int


@dataclass(slots=True)
class Supervised:
    """Daemons that are started again when they die. Each entry of `environments` is for one start; the last one stays."""

    stack: Stack
    environments: Sequence[Mapping[str, str]]
    module: str = "tests.e2e.killable"
    deaths: list[int] = field(default_factory=list)

    async def run(self, started: asyncio.Event) -> None:
        """Until cancelled; then the daemon is asked to drain."""
        for environment in [*self.environments, *[self.environments[-1]] * 3]:
            daemon = DaemonProcess(
                {**self.stack.environment(**SHORT), **environment},
                log=self.stack.folder / "agentd.log",
                module=self.module,
            )
            await daemon.start()
            started.set()
            try:
                self.deaths.append(await daemon.wait())
            finally:
                await daemon.stop()
        raise AssertionError(f"the daemon died again and again: {self.deaths}")


@asynccontextmanager
async def supervised(daemons: Supervised) -> AsyncIterator[None]:
    """The daemons are up until the block ends."""
    started = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(daemons.run(started), name="supervisor")
        async with asyncio.timeout(30):
            await started.wait()
        yield
        keeping.cancel()


async def tell(folder: Path, *environments: Mapping[str, str]) -> tuple[World, list[int]]:
    """Tell the whole story on a stack of its own; what came of it, and the exit codes of daemons that died."""
    runtime = system_runtime()
    async with start_stack(folder, visibility_s=3) as stack:
        daemons = Supervised(stack, environments)
        async with control_plane(stack, runtime) as plane:
            async with supervised(daemons):
                stage = Stage(stack, runtime)
                teller = Teller(stage, plane, story())
                await teller.tell(lambda _told: None)
                wrong = [(told.telling.title, told.found) for told in teller.told.values() if not told.right]
                assert not wrong, wrong
                await settled(stack)
            return await look(stack, stage, plane), daemons.deaths


async def settled(stack: Stack, *, within_s: float = 30.0) -> None:
    """Returns when the commands queue holds nothing any more, seen or hidden."""
    queue = SqsQueue(stack.commands_url, name="commands", aws=stack.aws, runtime=system_runtime())
    async with open_queues(queue), asyncio.timeout(within_s):
        while (depth := await queue.depth()).visible or depth.in_flight or depth.delayed:
            await asyncio.sleep(0.1)


async def look(stack: Stack, stage: Stage, plane: ControlPlane) -> World:
    """What there is in the end."""
    ledger = await SqliteLedger.open(
        LedgerConfig(path=stack.folder / "ledger.db"),
        observe=lambda _operation, _result, _seconds: None,
        read_only=True,
    )
    try:
        stats = await ledger.stats()
    finally:
        await ledger.close()
    return World(
        reports=frozenset(_reported(report["id"], report["data"]) for report in plane.outcomes),
        repositories=tuple(tuple(row) for row in await stage.repositories()),
        dead_letters=frozenset(await stage.dead_letter_reasons()),
        leases=stats.leases,
        outbox=stats.outbox,
    )


def _reported(report_id: str, data: Mapping[str, Any]) -> tuple[str, str, str | None, bool]:
    trusted = data["key"].startswith("event/")
    return (report_id if trusted else "-", data["outcome"], data["reason"], data["changed"])
