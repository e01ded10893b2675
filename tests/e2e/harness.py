"""What the suites share: the demo's story told to daemons that die, daemons behind wire taps, commands, and waiting."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from aiobotocore.session import AioSession

from agentd.bus import DeadLetters, QueueDepth
from agentd.cli.control_plane import ControlPlane, control_plane
from agentd.cli.demo import Teller, Told
from agentd.cli.stack import DaemonProcess, Stack, open_queues, start_stack
from agentd.cli.stack_queues import QueueChoice
from agentd.cli.story import Stage, story
from agentd.cli.story.acts import id_of
from agentd.core import system_runtime
from agentd.ledger import LedgerConfig
from agentd.ledger.sqlite import SqliteLedger
from tests.e2e.tap import Tap, tap

if TYPE_CHECKING:
    from aiobotocore.session import ClientCreatorContext
    from types_aiobotocore_sqs.client import SQSClient

# Leases as short as they go, so that a crash is made up for within seconds.
SHORT = {
    "AGENTD_BUS__VISIBILITY_S": "3",
    "AGENTD_BUS__LEASE_TICK_S": "0.2",
    "AGENTD_DISPATCH__LEASE_S": "1.5",
    "AGENTD_DISPATCH__CLOCK_SKEW_S": "0.2",  # one machine, one clock
    "AGENTD_DISPATCH__DEFER_MIN_S": "0.2",
    "AGENTD_REPORTS__LEFT_BEHIND_S": "1",
    "AGENTD_REPORTS__SWEEP_INTERVAL_S": "0.5",
}


# After a crash between its claim and its first write, the newer deploy that waits for it goes first and does its work too.
OVERTAKEN = id_of("create environment staging 1")


@dataclass(frozen=True, slots=True)
class World:
    """What is compared between two tellings: the reports, and what exists in the end.

    A message that is no valid event is reported under the transport's id, which is another one in each telling.
    """

    reports: frozenset[tuple[str, str, str | None, bool]]
    repositories: tuple[tuple[object, ...], ...]
    namespaces: tuple[tuple[object, ...], ...]
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


async def tell(
    folder: Path, *environments: Mapping[str, str], queues: QueueChoice = QueueChoice.SQS
) -> tuple[World, list[int]]:
    """Tell the whole story on a stack of its own; what came of it, and the exit codes of daemons that died."""
    runtime = system_runtime()
    async with start_stack(folder, visibility_s=3, queues=queues) as stack:
        daemons = Supervised(stack, environments)
        async with control_plane(stack, runtime) as plane:
            async with supervised(daemons):
                stage = Stage(stack, runtime)
                teller = Teller(stage, plane, story())
                await teller.tell(lambda _told: None)
                wrong = [(told.telling.title, told.found) for told in teller.told.values() if not _right(told)]
                assert not wrong, wrong
                await settled(stack)
            return await look(stack, stage, plane), daemons.deaths


async def settled(stack: Stack, *, within_s: float = 30.0) -> None:
    """Returns when the commands queue holds nothing any more, seen or hidden."""

    async def empty() -> bool:
        return await depth(stack, stack.commands_url) == QueueDepth(visible=0, in_flight=0, delayed=0)

    await eventually(empty, within_s=within_s)


async def look(stack: Stack, stage: Stage, plane: ControlPlane) -> World:
    """What there is in the end."""
    ledger = await SqliteLedger.open(
        LedgerConfig(path=stack.folder / "ledger.db"),
        observe=lambda _operation, _result, _seconds: None,
        read_only=True,
    )
    try:
        stats = await ledger.stats()
        letters = await current_letters(stack, ledger)
    finally:
        await ledger.close()
    return World(
        reports=frozenset(_reported(report["id"], report["data"]) for report in plane.outcomes),
        repositories=tuple(tuple(row) for row in await stage.repositories()),
        namespaces=tuple(tuple(row) for row in await stage.namespaces()),
        dead_letters=letters,
        leases=stats.leases,
        outbox=stats.outbox,
    )


async def current_letters(stack: Stack, ledger: SqliteLedger) -> frozenset[str | None]:
    """The reasons of the dead letters that stand for how their event ended last.

    A crash between dead letter and delete leaves the letter twice. If one is redriven at once, the other says how an
    earlier epoch ended; redriving that one would change nothing. A crash in the middle of a look through the dead
    letters leaves them hidden for half a minute.
    """

    async def all_shown() -> bool:
        return (await depth(stack, stack.dead_letters_url)).in_flight == 0

    await eventually(all_shown, within_s=45)
    runtime = system_runtime()
    commands = stack.queue(stack.commands_url, "commands", runtime)
    letters = stack.queue(stack.dead_letters_url, "dead-letters", runtime)
    async with open_queues(commands, letters):
        entries = await DeadLetters(letters, commands, runtime).list(100)
    records = [(entry, await ledger.lookup(entry.key or "")) for entry in entries]
    return frozenset(entry.reason for entry, record in records if record is None or record.epoch == entry.epoch)


def _right(told: Told) -> bool:
    if told.telling.event_id != OVERTAKEN or told.found is None:
        return told.right
    return replace(told.found, changed=True) == told.telling.expected


def _reported(report_id: str, data: Mapping[str, Any]) -> tuple[str, str, str | None, bool]:
    trusted = data["key"].startswith("event/")
    changed = data["changed"] or data["event_id"] == OVERTAKEN
    return (report_id if trusted else "-", data["outcome"], data["reason"], changed)


async def eventually(check: Callable[[], Awaitable[bool]], *, within_s: float = 20.0) -> None:
    """Returns when the check holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(within_s):
        while not await check():
            await asyncio.sleep(0.05)


async def depth(stack: Stack, url: str) -> QueueDepth:
    """What a queue of the stack holds."""
    queue = stack.queue(url, "looked-at", system_runtime())
    async with open_queues(queue):
        return await queue.depth()


def sqs(stack: Stack) -> "ClientCreatorContext[SQSClient]":
    """A client of the stack's queues, past the code under test."""
    return AioSession().create_client("sqs", region_name=stack.aws.region, endpoint_url=stack.aws.endpoint_url)


def uuid_of(name: str) -> str:
    """Ids are the same in every run."""
    return str(uuid5(NAMESPACE_URL, f"https://control-plane.example/e2e/{name}"))


@asynccontextmanager
async def running(stack: Stack, *, log: str = "agentd.log", **settings: str) -> AsyncIterator[DaemonProcess]:
    """A daemon of the stack, ready; it must drain with exit code 0 when the block ends, unless it has been ended there."""
    daemon = DaemonProcess(stack.environment(**settings), log=stack.folder / log)
    await daemon.start()
    try:
        yield daemon
    finally:
        ended_before = daemon.process is not None and daemon.process.returncode is not None
        code = await daemon.stop()
    assert ended_before or code == 0, f"the daemon ended with exit code {code}"


@dataclass(frozen=True, slots=True)
class Replica:
    """A daemon that reaches the cloud through a tap of its own. `name` is what it calls itself."""

    daemon: DaemonProcess
    tap: Tap
    name: str


@asynccontextmanager
async def replicas(stack: Stack, number: int, **settings: str) -> AsyncIterator[Sequence[Replica]]:
    """Daemons that share the stack's queues and ledger."""
    async with AsyncExitStack() as ends:
        found = []
        for index in range(number):
            tapped = await ends.enter_async_context(tap(stack.cloud.endpoint_url))
            environment = {**settings, **tapped.environment}
            daemon = await ends.enter_async_context(running(stack, log=f"agentd-{index}.log", **environment))
            _, text = await daemon.get("/status")
            found.append(Replica(daemon, tapped, json.loads(text)["replica"]))
        yield found


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str


async def agentd(
    *arguments: str, environment: Mapping[str, str], stdin: str = "", within_s: float = 30.0, cwd: Path | None = None
) -> Ran:
    """Run the command line to its end. Nothing of this process's own `AGENTD_*` variables reaches it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGENTD_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agentd", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**inherited, **environment},
        cwd=cwd,
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ran(process.returncode or 0, out.decode(), err.decode())
