"""Does a flood of one environment hold up others?

Fifty environments get an event every tenth of a second among them, first alone, then while ten thousand events of another
one come and wait. Each event takes its handler ten milliseconds. From receive to outcome: as the agent's log has it. From
send: with the time that the queue took to hand it out. The flood is there until the last event of the others has ended.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agentd.cli.control_plane import event
from agentd.core import Subject
from agentd.events import EnvironmentCreate, EnvironmentUnlock
from bench.agents import agent
from bench.events import identity
from bench.processes import BenchmarkError, Measured, running
from bench.results import Column, Options, Table, percentile
from bench.server import Queues, Server

_WORK_S = 0.01
_EVERY_S = 0.1
_FLOOD, _OTHERS = 1, range(2, 52)
_LONGEST_S = 120.0


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each event of the other environments."""

    from_receive: Sequence[float]
    from_send: Sequence[float]


async def run(server: Server, options: Options) -> Sequence[Table]:
    """A standard and a FIFO queue, alone and under the flood."""
    number, flood = (30, 1_000) if options.quick else (200, 10_000)
    rows = []
    for fifo in (False, True):
        kind = "FIFO" if fifo else "standard"
        alone = await _measure(server, options.scratch(f"{kind}-alone"), fifo=fifo, flood=0, number=number)
        flooded = await _measure(server, options.scratch(f"{kind}-flooded"), fifo=fifo, flood=flood, number=number)
        rows.append(_row(f"{kind} queue, from receive", alone.from_receive, flooded.from_receive))
        rows.append(_row(f"{kind} queue, from send", alone.from_send, flooded.from_send))
        options.say(f"{rows[-1]}")
    head = (
        "",
        "alone p50, ms",
        "alone p99, ms",
        f"beside {flood:,} p50, ms",
        f"beside {flood:,} p99, ms",
        "p99 to p99",
    )
    return [Table("Fairness between environments", head, rows)]


def _row(name: str, alone: Sequence[float], flooded: Sequence[float]) -> Sequence[str]:
    values = [percentile(times, share) for times in (alone, flooded) for share in (0.5, 0.99)]
    return (name, *map(Column.ms, values), f"{values[3] / values[1]:.2f}")


async def _measure(server: Server, folder: Path, *, fifo: bool, flood: int, number: int) -> Times:
    queues = await server.queues(fifo=fifo)
    program = agent(server, queues, folder, "agentd", BENCH_WORK_S=str(_WORK_S))
    async with running(program) as process:
        await _create(server, queues, process)
        sent: dict[str, float] = {}
        async with asyncio.TaskGroup() as group:
            group.create_task(_send(server, queues, _FLOOD, range(flood)))
            for n in range(number):
                await asyncio.sleep(_EVERY_S)
                sent |= await _send(server, queues, _OTHERS[n % len(_OTHERS)], range(n, n + 1))
        lines = await _ended(process, sent)
        left = await server.depth(queues.commands)
        if flood and not left:
            raise BenchmarkError("the flood was over before the last event of the others")
    await server.delete(queues)
    offset = time.time() - time.monotonic()
    return Times(
        from_receive=[float(str(line["seconds"])) for line in lines.values()],
        from_send=[
            datetime.fromisoformat(str(line["time"])).timestamp() - offset - sent[event_id]
            for event_id, line in lines.items()
        ],
    )


async def _create(server: Server, queues: Queues, process: Measured) -> None:
    await server.wait_until_polled(queues.commands, process)
    everybody = (_FLOOD, *_OTHERS)
    bodies = [
        event(EnvironmentCreate(environment_id=identity(which, kind=3), environment_name=f"env{which}"), 1)
        for which in everybody
    ]
    await server.send(queues.commands, bodies, groups=[_group(which) for which in everybody])
    await server.wait_until_empty(queues.commands, process)


async def _send(server: Server, queues: Queues, which: int, numbers: range) -> Mapping[str, float]:
    """When each event was sent, on the machine's monotonic clock, by its id."""
    bodies = [
        event(EnvironmentUnlock(environment_id=identity(which, kind=3), environment_name=f"env{which}"), 2 + n)
        for n in numbers
    ]
    sent = await server.send(queues.commands, bodies, groups=[_group(which)] * len(bodies))
    return {json.loads(body)["id"]: message.at for body, message in zip(bodies, sent, strict=True)}


def _group(which: int) -> str:
    return str(Subject("environment", identity(which, kind=3)))


async def _ended(process: Measured, sent: Mapping[str, float]) -> Mapping[str, Mapping[str, object]]:
    """The log line that tells of the end of each of these events, once there is one for each."""
    deadline = time.monotonic() + _LONGEST_S
    while True:
        process.check()
        lines = [json.loads(line) for line in process.log.read_text().splitlines() if '"event.finished"' in line]
        ended = {line["event_id"]: line for line in lines if line["event_id"] in sent}
        if len(ended) == len(sent):
            return ended
        if time.monotonic() > deadline:
            raise BenchmarkError(f"only {len(ended)} of {len(sent)} events have ended; {process.tail()}")
        await asyncio.sleep(1)
