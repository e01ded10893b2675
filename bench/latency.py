"""From send to the start of the handler, the agent and a bare receiver in turns.

Idle: one message at a time, the consumer waits in its long poll. Under load: a steady stream of full batches. Times are of the
machine's monotonic clock, which all its processes share; the send counts. A handler starts when its claim is durable, so the
disk counts as well: what one flush takes is measured beside it, and the agent once more with its ledger on a memory disk.
"""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.agents import agent
from bench.events import identity, projects
from bench.processes import BenchmarkError, Program, python, read_times, running
from bench.results import Column, Options, Table, percentile
from bench.server import Queues, Sent, Server

_PAUSE_S = (0.02, 0.06)
_BATCH = 10
_FLUSHES = 200
_MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
BARE, AGENT, ON_MEMORY = "a bare receiver", "agentd, everything on", "agentd, its ledger on a memory disk"


@dataclass(slots=True)
class Found:
    """Seconds from send to start, over all turns."""

    idle: list[float] = field(default_factory=list)
    loaded: list[float] = field(default_factory=list)


async def run(server: Server, options: Options) -> Sequence[Table]:
    """All contenders, in turns."""
    found = {name: Found() for name in (BARE, AGENT, ON_MEMORY)}
    turns, idle, loaded_s = (1, 50, 2) if options.quick else (3, 300, 10)
    for turn in range(turns):
        for name, into in found.items():
            run = f"{name.replace(' ', '-')}-{turn}"
            into.idle += await _turn(server, name, options.scratch(f"idle-{run}"), idle=idle)
            into.loaded += await _turn(server, name, options.scratch(f"loaded-{run}"), rate=200, seconds=loaded_s)
            options.say(f"{name}: idle p50 {Column.ms(percentile(into.idle, 0.5))} ms")
    return [_table(found, await asyncio.to_thread(_flushes, options.folder))]


async def _turn(
    server: Server, name: str, folder: Path, *, idle: int = 0, rate: int = 0, seconds: float = 0.0
) -> list[float]:
    with tempfile.TemporaryDirectory(dir=_MEMORY_DISK if name == ON_MEMORY else folder) as ledgers:
        return await _measure(server, name, folder, Path(ledgers), idle=idle, rate=rate, seconds=seconds)


async def _measure(
    server: Server, name: str, folder: Path, ledgers: Path, *, idle: int, rate: int, seconds: float
) -> list[float]:
    queues = await server.queues()
    program = _program(server, queues, name, folder, ledgers)
    async with running(program) as process:
        await server.wait_until_polled(queues.commands, process)
        sent = await (_one_by_one(server, queues, idle) if idle else _stream(server, queues, rate, seconds))
        await server.wait_until_empty(queues.commands, process)
        await process.stop()
    started = read_times(folder / "times.json")
    if len(started) != len(sent):
        raise BenchmarkError(f"{name} started {len(started)} of {len(sent)} messages")
    # The agent's handler knows its subject, the bare receiver the message's id.
    keys = [message.message_id if name == BARE else identity(n, kind=1) for n, message in enumerate(sent)]
    return [started[key] - message.at for key, message in zip(keys, sent, strict=True)]


def _program(server: Server, queues: Queues, name: str, folder: Path, ledgers: Path) -> Program:
    times = {"BENCH_TIMES": str(folder / "times.json")}
    if name != BARE:
        return agent(server, queues, folder, "agentd", AGENTD_LEDGER__PATH=str(ledgers / "ledger.db"), **times)
    # One receiver: eight would not be sooner, and their empty answers would cost the server.
    command = python("bench.contenders.bare", queues.commands.url)
    return Program(command, {**server.environment, **times, "BENCH_RECEIVERS": "1"}, folder / "bare.log")


async def _one_by_one(server: Server, queues: Queues, number: int) -> list[Sent]:
    sent = []
    for body in projects(range(number)):
        await asyncio.sleep(random.uniform(*_PAUSE_S))  # noqa: S311 - spreads the sends, nothing more
        sent.append(await server.send_one(queues.commands, body))
    return sent


async def _stream(server: Server, queues: Queues, rate: int, seconds: float) -> list[Sent]:
    sent: list[Sent] = []
    bodies = projects(range(int(rate * seconds)))
    loop = asyncio.get_running_loop()
    due = loop.time()
    for start in range(0, len(bodies), _BATCH):
        await asyncio.sleep(max(0.0, due - loop.time()))
        sent += await server.send(queues.commands, bodies[start : start + _BATCH])
        due += _BATCH / rate
    return sent


def _flushes(folder: Path) -> list[float]:
    """Seconds that it takes to make a page durable in this folder, with pauses as between events."""
    seconds = []
    with (folder / "flushed").open("wb", buffering=0) as file:
        for _ in range(_FLUSHES):
            time.sleep(_PAUSE_S[0])
            file.write(bytes(4096))
            began = time.monotonic()
            os.fdatasync(file.fileno())
            seconds.append(time.monotonic() - began)
    return seconds


def _table(found: Mapping[str, Found], flushes: Sequence[float]) -> Table:
    shares = (0.5, 0.99)
    rows = [
        (name, *_percentiles(values.idle, shares), *_percentiles(values.loaded, shares))
        for name, values in found.items()
    ]
    bare = found[BARE]
    for name in (AGENT, ON_MEMORY):
        pairs = ((found[name].idle, bare.idle), (found[name].loaded, bare.loaded))
        over = [percentile(ours, share) - percentile(theirs, share) for ours, theirs in pairs for share in shares]
        rows.append((f"{name}: more than the bare receiver", *map(Column.ms, over)))
    rows.append(("one flush of this disk", *_percentiles(flushes, shares), "", ""))
    head = ("", "idle p50", "idle p99", "200 a second p50", "200 a second p99")
    return Table("Latency from send to handler start, ms", head, rows)


def _percentiles(seconds: Sequence[float], shares: Sequence[float]) -> list[str]:
    return [Column.ms(percentile(seconds, share)) for share in shares]
