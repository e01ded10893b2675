"""What the tests run in processes of their own: `python -m tests.unit.audit.children <what> <folder> <replica>`."""

import asyncio
import resource
import sys
from pathlib import Path

from agentd.audit.report import Verdict
from agentd.audit.verification import verify
from agentd.core import TransientError
from agentd.telemetry import TelemetryConfig, configure_logs
from tests.unit.audit.rig import SMALL, opened


def say(text: str) -> None:
    """A line that the parent has as soon as it is said."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def append_for_ever(folder: Path, replica: str) -> None:
    """Say each number once its entry is durable, with eight who append and wait at a time."""
    async with opened(folder, replica, segment_bytes=4 * SMALL) as rig:

        async def writer(first: int) -> None:
            for number in range(first, sys.maxsize, 8):
                rig.append(number)
                await rig.log.flush()
                say(str(number))

        async with asyncio.TaskGroup() as group:
            for first in range(1, 9):
                group.create_task(writer(first))


async def fill_the_disk(folder: Path, replica: str) -> None:
    """Write while no file may grow, then with room again; say what came of it."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with opened(folder, replica) as rig:
        rig.append(1)
        await rig.log.flush()
        size = rig.folder.joinpath(replica, "000001.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
        for number in (2, 3):
            rig.append(number)
            try:
                await rig.log.flush()
            except TransientError as error:
                say(f"{error.reason.value}: {error.message.rpartition('/')[2]}")
        say(f"not ready: {rig.log.trouble is not None}, head {rig.log.head.seq}")
        say(f"meanwhile {verify([folder]).verdict}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        rig.append(4)
        await rig.log.flush()
        say(f"not ready: {rig.log.trouble is not None}, head {rig.log.head.seq}")
    report = verify([folder])
    say(f"{report.verdict} {report.entries} {report.chains[0].closed}")


async def stop_on_a_full_disk(folder: Path, replica: str) -> None:
    """End while no file may grow."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with opened(folder, replica) as rig:
        size = rig.folder.joinpath(replica, "000001.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
        rig.append(1)
    report = verify([folder])
    say(f"{report.verdict} {report.entries} {report.chains[0].closed} {report.verdict is Verdict.INTACT}")


if __name__ == "__main__":
    configure_logs(TelemetryConfig(), sys.stderr)
    asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2]), sys.argv[3]))
