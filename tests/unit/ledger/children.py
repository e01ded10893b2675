"""What the tests run in processes of their own: `python -m tests.unit.ledger.children <what> <path> <argument>`."""

import asyncio
import resource
import sys
from pathlib import Path

from agentd.core import TransientError
from agentd.ledger import Claimed, Ending, LedgerConfig
from agentd.ledger.sqlite import SqliteLedger
from tests.conformance.ledger.rig import NOW, SUCCEEDED, Event, project


async def opened(path: Path) -> SqliteLedger:
    """The ledger at a path."""
    return await SqliteLedger.open(LedgerConfig(path=path), observe=lambda _operation, _result, _seconds: None)


def say(text: str) -> None:
    """A line that the parent has as soon as it is said."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def finish_for_ever(path: Path, _argument: str) -> None:
    """Say each event's number once its end has been acknowledged, with eight callers at a time."""
    ledger = await opened(path)

    async def caller(first: int) -> None:
        for number in range(first, sys.maxsize, 8):
            event = Event(number, subject=project(number))
            await ledger.admit(event.admission())
            result = await ledger.claim(event.request())
            if not isinstance(result, Claimed):
                raise TypeError(result)
            await ledger.finish(event.ending(SUCCEEDED, claim=result.claim))
            say(str(number))

    async with asyncio.TaskGroup() as group:
        for first in range(1, 9):
            group.create_task(caller(first))


async def claim_all(path: Path, replica: str) -> None:
    """Wait for a word from the parent, then open the ledger and claim subjects 1 to 40; say which were won."""
    say("ready")
    sys.stdin.readline()
    ledger = await opened(path)
    for number in range(1, 41):
        event = Event(number, subject=project(number))
        await ledger.admit(event.admission())
        if isinstance(await ledger.claim(event.request(replica=replica)), Claimed):
            say(str(number))
    await ledger.close()


async def fill_the_disk(path: Path, _argument: str) -> None:
    """Write while no file may grow, then with room again; say what came of it.

    The large record outgrows SQLite's cache, so that the fault comes in the middle of a transaction.
    """
    ledger = await opened(path)
    await ledger.admit(Event(1).admission())
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.with_name(f"{path.name}-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    work = [ledger.admit(Event(number).admission()) for number in range(2, 12)]
    results = await asyncio.gather(*work[:5], ledger.finish(_large()), *work[5:], return_exceptions=True)
    say("all transient" if all(isinstance(result, TransientError) for result in results) else repr(results))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    stats = await ledger.stats()
    say(f"{stats.open_events} {stats.finished_events}")
    await ledger.admit(Event(2).admission())
    await ledger.finish(_large())
    stats = await ledger.stats()
    say(f"{stats.open_events} {stats.finished_events}")
    await ledger.close()


def _large() -> Ending:
    return Ending("message/large", 1, SUCCEEDED, "report", NOW, event="x" * 5_000_000)


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2]), sys.argv[3]))
