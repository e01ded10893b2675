"""What the agent takes while it does nothing, while it holds a thousand messages, and how it grows over many.

Resident memory is that of the one process. At rest: CPU and calls of a minute. In flight: a thousand handlers that have begun
and wait. Growth: the slope of a line through the memory after each batch of the second half: caches fill and threads find their
size in the first.
"""

import asyncio
import json
import time
import urllib.request
from collections.abc import Sequence
from statistics import linear_regression

from bench.agents import agent
from bench.events import projects
from bench.processes import BenchmarkError, Measured, Program, running
from bench.results import Options, Table
from bench.server import Queues, Server

_HELD = 1000
_BATCH = 5_000
_SETTLE_S = 10.0
_LONGEST_S = 120.0


async def run(server: Server, options: Options) -> Sequence[Table]:
    """Rest, a thousand in flight, and growth."""
    rows = [*await _at_rest(server, options), await _in_flight(server, options), *await _growth(server, options)]
    return [Table("Footprint", ("", "found"), rows)]


async def _at_rest(server: Server, options: Options) -> list[tuple[str, str]]:
    seconds = 10.0 if options.quick else 60.0
    queues = await server.queues()
    async with running(agent(server, queues, options.scratch("rest"), "agentd")) as process:
        await server.wait_until_polled(queues.commands, process)
        await asyncio.sleep(_SETTLE_S)
        before, cpu_s, began = await server.counts(), process.cpu_s(), time.monotonic()
        await asyncio.sleep(seconds)
        after, minutes = await server.counts(), (time.monotonic() - began) / 60
        cpu_ms = (process.cpu_s() - cpu_s) * 1000 / minutes
        all_queues = (queues.commands, queues.dead_letters, queues.reports)
        calls = (after.of(*all_queues) - before.of(*all_queues)) / minutes
        receives = [counts.of(queues.commands, operations=("ReceiveMessage",)) for counts in (before, after)]
        polls = (receives[1] - receives[0]) / minutes
        memory = process.rss_mib()
        await process.stop()
    return [
        ("memory at rest, MiB", f"{memory:.0f}"),
        ("CPU at rest, ms a minute", f"{cpu_ms:.0f}"),
        ("calls at rest, a minute", f"{calls:.1f}, of which {polls:.1f} receives"),
    ]


async def _in_flight(server: Server, options: Options) -> tuple[str, str]:
    folder = options.scratch("in-flight")
    hold = folder / "hold"
    hold.touch()
    queues = await server.queues()
    await server.send(queues.commands, projects(range(_HELD)))
    program = agent(
        server,
        queues,
        folder,
        "agentd",
        BENCH_HOLD=str(hold),
        AGENTD_BUS__SLOTS=str(_HELD),
        AGENTD_DISPATCH__MAX_RUNNING=str(_HELD),
    )
    async with running(program) as process:
        await server.wait_until_polled(queues.commands, process)
        await until_running(program, process, _HELD)
        await asyncio.sleep(_SETTLE_S)
        memory = process.rss_mib()
        hold.unlink()
        await _deleted(server, queues, process, _HELD)
        await process.stop()
    return f"memory with {_HELD:,} in flight, MiB", f"{memory:.0f}"


async def _growth(server: Server, options: Options) -> list[tuple[str, str]]:
    number = options.events
    queues = await server.queues()
    sizes: list[tuple[int, float]] = []
    async with running(agent(server, queues, options.scratch("growth"), "agentd")) as process:
        for first in range(0, number, _BATCH):
            await server.send(queues.commands, projects(range(first, first + _BATCH)))
            done = first + _BATCH
            await _deleted(server, queues, process, done)
            sizes.append((done, process.rss_mib()))
            await server.client.purge_queue(QueueUrl=queues.reports.url)
            if done % 100_000 == 0:
                options.say(f"{done:,} events: {sizes[-1][1]:.1f} MiB")
        await process.stop()
    steady = sizes[len(sizes) // 2 :]
    slope = linear_regression([done for done, _ in steady], [memory for _, memory in steady]).slope
    return [
        (
            f"memory after {number:,} events, MiB",
            f"{sizes[-1][1]:.0f} (after the first {steady[0][0]:,}: {steady[0][1]:.0f})",
        ),
        ("growth over the second half, MiB a million events", f"{slope * 1_000_000:.2f}"),
    ]


async def _deleted(server: Server, queues: Queues, process: Measured, number: int) -> None:
    deadline = time.monotonic() + _LONGEST_S
    while (deleted := (await server.counts()).deleted.get(queues.commands.name, 0)) < number:
        process.check()
        if time.monotonic() > deadline:
            raise BenchmarkError(f"only {deleted} of {number} were deleted; {process.tail()}")
        await asyncio.sleep(0.1)


async def until_running(program: Program, process: Measured, number: int) -> None:
    """Returns when so many of the agent's handlers have begun and not ended."""
    url = f"http://127.0.0.1:{program.environment['AGENTD_TELEMETRY__HTTP_PORT']}/status"
    deadline = time.monotonic() + _LONGEST_S
    while await asyncio.to_thread(_running, url) < number:
        process.check()
        if time.monotonic() > deadline:
            raise BenchmarkError(f"not {number} events run; {process.tail()}")
        await asyncio.sleep(0.5)


def _running(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - a fixed loopback URL
            return int(json.load(answer)["held"].get("running", 0))
    except OSError:
        return 0
