"""Messages per CPU second, and calls a message, at saturation: the agent and its peers, in turns, on one server.

A queue is filled; a contender is started on it; its CPU time is read when a fifth of the messages has been deleted and
again at nine tenths, so that neither its start nor its end counts. In the end the queue is empty, and every message was
handled, or the run is void.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.agents import agent
from bench.events import projects
from bench.processes import BenchmarkError, Measured, Program, python, running
from bench.results import Column, Options, Table
from bench.server import BenchQueue, Queues, Server

_FROM, _TO = 0.2, 0.9
_POLL_S = 0.02
_LONGEST_S = 180.0
_PEERS = Path(__file__).parent / "peers"

Start = Callable[[Server, Queues, Path], Program]
Bodies = Callable[[range], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Contender:
    """What is measured. `reports`: it sends one for each message; `share`: of the messages of a run, for the slow ones."""

    name: str
    start: Start
    bodies: Bodies = projects
    reports: bool = False
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run's numbers."""

    per_cpu_s: float
    per_s: float
    calls: float
    cpu_us: float


def _bare(server: Server, queues: Queues, folder: Path) -> Program:
    command = python("bench.contenders.bare", queues.commands.url)
    return Program(command, server.environment, folder / "bare.log")


def _bare_reporting(server: Server, queues: Queues, folder: Path) -> Program:
    command = python("bench.contenders.bare", queues.commands.url, queues.reports.url)
    return Program(command, server.environment, folder / "bare.log")


def _bus(server: Server, queues: Queues, folder: Path) -> Program:
    command = python("bench.contenders.bus", queues.commands.url, queues.dead_letters.url)
    return Program(command, server.environment, folder / "bus.log")


def _ledgerless(server: Server, queues: Queues, folder: Path) -> Program:
    command = python("bench.contenders.bus", queues.commands.url, queues.dead_letters.url, "--dispatch")
    return Program(command, server.environment, folder / "ledgerless.log")


def _agent(server: Server, queues: Queues, folder: Path) -> Program:
    return agent(server, queues, folder, "agentd")


def _taskiq(server: Server, queues: Queues, folder: Path) -> Program:
    command = (str(_PEERS / ".venv" / "bin" / "python"), str(_PEERS / "taskiq_worker.py"), queues.commands.name)
    return Program(command, {**server.environment, "PYTHONPATH": str(Path.cwd())}, folder / "taskiq.log")


def _sqs_consumer(server: Server, queues: Queues, folder: Path) -> Program:
    command = ("node", str(_PEERS / "sqs-consumer.mjs"), queues.commands.url)
    return Program(command, server.environment, folder / "sqs-consumer.log")


def _squiss(server: Server, queues: Queues, folder: Path) -> Program:
    command = ("node", str(_PEERS / "squiss.mjs"), queues.commands.url)
    return Program(command, server.environment, folder / "squiss.log")


def _tasks(numbers: range) -> Sequence[str]:
    """The events' texts as taskiq wraps what is sent to a task."""
    return [
        json.dumps(
            {
                "task_id": str(number),
                "task_name": "noop",
                "labels": {},
                "args": [str(number), body],
                "kwargs": {},
            }
        )
        for number, body in zip(numbers, projects(numbers), strict=True)
    ]


BARE, BARE_REPORTING, AGENT = "bare loop", "bare loop that reports", "agentd, everything on"
BUS, LEDGERLESS = "agentd's bus alone", "agentd without ledger and reports"

CONTENDERS = (
    Contender(BARE, _bare),
    Contender(BUS, _bus),
    Contender(LEDGERLESS, _ledgerless),
    Contender("taskiq-aio-sqs", _taskiq, bodies=_tasks, share=0.25),
    Contender("sqs-consumer", _sqs_consumer),
    Contender("squiss-ts", _squiss),
    Contender(BARE_REPORTING, _bare_reporting, reports=True),
    Contender(AGENT, _agent, reports=True),
)


async def run(server: Server, options: Options) -> Sequence[Table]:
    """Every contender, in turns."""
    runs: dict[str, list[Run]] = {contender.name: [] for contender in CONTENDERS}
    for turn in range(options.runs):
        for contender in CONTENDERS:
            if options.wants(contender.name):
                folder = options.scratch(f"{contender.name.replace(' ', '-')}-{turn}")
                runs[contender.name].append(await one_run(server, contender, options.messages, folder))
                options.say(f"{contender.name}: {runs[contender.name][-1]}")
    return [_table(runs)]


async def one_run(server: Server, contender: Contender, messages: int, folder: Path) -> Run:
    """One contender on queues of its own."""
    number = int(messages * contender.share)
    queues = await server.queues()
    await server.send(queues.commands, contender.bodies(range(number)))
    async with running(contender.start(server, queues, folder)) as process:
        begun = await _deleted(server, queues.commands, _FROM * number, process)
        ended = await _deleted(server, queues.commands, _TO * number, process)
        await _deleted(server, queues.commands, number, process)
        await process.stop()
        await _verify(server, contender, queues, number, process)
    await server.delete(queues)
    handled, cpu_s, seconds = ended[0] - begun[0], ended[1] - begun[1], ended[2] - begun[2]
    return Run(handled / cpu_s, handled / seconds, (ended[3] - begun[3]) / handled, cpu_s / handled * 1e6)


async def _deleted(
    server: Server, queue: BenchQueue, number: float, process: Measured
) -> tuple[int, float, float, int]:
    """Once so many messages have been deleted: how many, CPU seconds so far, the time, and calls so far."""
    deadline = time.monotonic() + _LONGEST_S
    while True:
        counts = await server.counts()
        cpu_s, now = process.cpu_s(), time.monotonic()
        process.check()
        if (deleted := counts.deleted.get(queue.name, 0)) >= number:
            return deleted, cpu_s, now, sum(counts.calls.values())
        if now > deadline:
            raise BenchmarkError(f"only {deleted} of {number:.0f} were deleted; {process.tail()}")
        await asyncio.sleep(_POLL_S)


async def _verify(server: Server, contender: Contender, queues: Queues, number: int, process: Measured) -> None:
    """BenchmarkError unless every message was handled and is gone."""
    if left := await server.depth(queues.commands):
        raise BenchmarkError(f"{contender.name} left {left} messages behind")
    if contender.name == AGENT:
        reports = await server.take(queues.reports, 2 * number)
        handled = len(
            {report["data"]["event_id"] for report in reports if report["data"].get("outcome") == "succeeded"}
        )
    else:
        told = [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith('{"handled"')]
        handled = told[-1]["unique"]
    if handled != number:
        raise BenchmarkError(f"{contender.name} handled {handled} of {number} messages; {process.tail()}")


def _table(runs: Mapping[str, Sequence[Run]]) -> Table:
    medians = {name: median(one.per_cpu_s for one in found) for name, found in runs.items() if found}
    rows = []
    for contender in CONTENDERS:
        if not (found := runs[contender.name]):
            continue
        against = BARE_REPORTING if contender.reports else BARE
        ratio = medians[contender.name] / medians[against] if against in medians else None
        rows.append(
            (
                contender.name,
                Column.spread([one.per_cpu_s for one in found], 0),
                f"{ratio:.2f}" if ratio is not None else "",
                Column.spread([one.cpu_us for one in found], 0),
                Column.spread([one.per_s for one in found], 0),
                f"{median(one.calls for one in found):.3f}",
            )
        )
    return Table(
        "Throughput",
        (
            "",
            "messages per CPU second",
            "to the bare loop",
            "µs CPU a message",
            "messages per second",
            "calls a message",
        ),
        rows,
    )
