"""How long an agent takes to start, to stop, and until another one goes on with what it held.

Two replicas share queues and ledger. The first holds messages whose handlers do not end; then it is told to stop, or killed.
The second starts them anew: after the grace period for a drain, after the leases for a crash. Defaults but for the grace,
which is a second; with `--quick` leases are short.
"""

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.agents import agent
from bench.events import identity, projects
from bench.footprint import until_running
from bench.processes import BenchmarkError, Measured, read_times, running
from bench.results import Column, Options, Table
from bench.server import Queues, Server

_HELD = 12
_GRACE_S = 1.0
_LONGEST_S = 180.0
_SHORT = {
    "AGENTD_BUS__VISIBILITY_S": "6",
    "AGENTD_BUS__LEASE_TICK_S": "0.5",
    "AGENTD_DISPATCH__LEASE_S": "3",
}


async def run(server: Server, options: Options) -> Sequence[Table]:
    """Start-up, stop, and both hand-overs."""
    times = 2 if options.quick else 5
    leases = _SHORT if options.quick else {}
    started = [await _start_up(server, options.scratch(f"start-{n}")) for n in range(times)]
    rows = [
        ("start to first receive, s", Column.spread([one[0] for one in started], 2)),
        (
            "SIGTERM at rest to exit, s (an open poll is waited for, up to 10 s)",
            Column.spread([one[1] for one in started], 2),
        ),
    ]
    for name, number in (("SIGTERM", signal.SIGTERM), ("kill -9", signal.SIGKILL)):
        first, last = await _hand_over(server, options.scratch(f"hand-over-{number}"), number, leases)
        seconds = f"{first:.1f} to {last:.1f}"
        rows.append((f"{name} until another replica starts what was held, s, first to last of {_HELD}", seconds))
        options.say(f"{name}: {seconds}")
    return [Table("Start, stop and hand-over", ("", "found"), rows)]


async def _start_up(server: Server, folder: Path) -> tuple[float, float]:
    queues = await server.queues()
    began = time.time()
    async with running(agent(server, queues, folder, "agentd")) as process:
        polled = await server.wait_until_polled(queues.commands, process)
        await asyncio.sleep(1)
        asked = time.monotonic()
        await process.stop()
        return polled - began, time.monotonic() - asked


async def _hand_over(
    server: Server, folder: Path, number: signal.Signals, leases: Mapping[str, str]
) -> tuple[float, float]:
    queues = await server.queues()
    hold, times = folder / "hold", folder / "times.json"
    hold.touch()
    settings = {**leases, "AGENTD_DRAIN__GRACE_S": str(_GRACE_S)}
    first = agent(
        server, queues, folder, "first", BENCH_HOLD=str(hold), BENCH_TIMES=str(folder / "first.json"), **settings
    )
    second = agent(server, queues, folder, "second", BENCH_TIMES=str(times), **settings)
    async with running(first) as holder:
        await server.send(queues.commands, projects(range(_HELD)))
        await server.wait_until_polled(queues.commands, holder)
        await until_running(first, holder, _HELD)
        async with running(second) as heir:
            await asyncio.sleep(3)  # it is up, and waits in its poll
            at = time.monotonic()
            holder.signal(number)
            await _all_deleted(server, queues, heir)
            await heir.stop()
    started = read_times(times)
    seconds = [started[identity(n, kind=1)] - at for n in range(_HELD)]
    return min(seconds), max(seconds)


async def _all_deleted(server: Server, queues: Queues, process: Measured) -> None:
    deadline = time.monotonic() + _LONGEST_S
    while (await server.counts()).deleted.get(queues.commands.name, 0) < _HELD:
        process.check()
        if time.monotonic() > deadline:
            raise BenchmarkError(f"what was held was not taken over; {process.tail()}")
        await asyncio.sleep(0.1)
