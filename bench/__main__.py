"""`python -m bench`: what the agent costs and how fast it is, beside bare loops and peers.

Everything runs on this machine, each contender in a process of its own, in turns, on one queue server; ratios are of one run.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from bench import environments, fairness, footprint, latency, ledger, lifecycle, throughput
from bench.processes import BenchmarkError, machine
from bench.results import Options, Table, write_into
from bench.server import Server, start_server

Benchmark = Callable[[Server, Options], Awaitable[Sequence[Table]]]

BENCHMARKS: Mapping[str, Benchmark] = {
    "throughput": throughput.run,
    "latency": latency.run,
    "footprint": footprint.run,
    "lifecycle": lifecycle.run,
    "fairness": fairness.run,
    "ledger": ledger.run,
    "environments": environments.run,
}
_DOCUMENT = Path("docs/performance.md")


async def _run(names: Sequence[str], options: Options, *, write: bool) -> Mapping[str, Sequence[Table]]:
    found = {}
    if (task := asyncio.current_task()) is not None:
        # What was started ends with this process, also when that is told to stop.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with start_server(options.folder) as server:
        for name in names:
            options.say(f"-- {name}")
            found[name] = await BENCHMARKS[name](server, options)
            if write:
                write_into(_DOCUMENT, name, found[name], machine())
    return found


def _show(found: Mapping[str, Sequence[Table]], *, as_json: bool) -> None:
    if as_json:
        document = {name: [table.document() for table in tables] for name, tables in found.items()}
        sys.stdout.write(json.dumps({"machine": machine(), "benchmarks": document}, indent=2) + "\n")
        return
    for table in (table for tables in found.values() for table in tables):
        sys.stdout.write(f"\n{table.title}\n\n{table.markdown()}\n")
    sys.stdout.write(f"\n{machine()}\n")


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="this one; may be given again")
    parser.add_argument("--contender", action="append", default=[], help="of throughput, this one; may be given again")
    parser.add_argument(
        "--quick", action="store_true", help="little of everything: shows that it works, measures badly"
    )
    parser.add_argument("--runs", type=int, help="turns of throughput")
    parser.add_argument("--messages", type=int, help="messages of one turn of throughput")
    parser.add_argument("--events", type=int, help="events over which memory may grow")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {_DOCUMENT}")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        options = Options(
            folder=Path(scratch),
            runs=asked.runs or (1 if asked.quick else 5),
            messages=asked.messages or (4_000 if asked.quick else 20_000),
            events=asked.events or (20_000 if asked.quick else 1_000_000),
            quick=asked.quick,
            contenders=frozenset(asked.contender),
        )
        try:
            found = asyncio.run(_run(asked.only or list(BENCHMARKS), options, write=asked.write))
        except BenchmarkError as error:
            sys.exit(f"error: {error}")
    _show(found, as_json=asked.output == "json")


if __name__ == "__main__":
    _main()
