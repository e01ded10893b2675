"""How many rounds of claim, step and finish the SQLite ledger does in a second."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from agentd.core import Outcome, OutcomeKind, Subject
from agentd.ledger import Admission, Claimed, ClaimRequest, Ending, LedgerConfig
from agentd.ledger.sqlite import SqliteLedger
from bench.results import Options, Table
from bench.server import Server

ROUNDS = 2000
# Callers, and operations in one transaction at most.
SETTINGS = ((1, 128), (8, 128), (64, 1), (64, 128))
# Per round: admit, claim, intend, record_step, finish, sent.
OPERATIONS = 6


async def one_round(ledger: SqliteLedger, number: int) -> None:
    """One event on a subject of its own, from admission to a report that has been sent."""
    identity = f"00000000-0000-4000-8000-{number:012d}"
    key, subject, now = f"event/{identity}", Subject("project", identity), float(number)
    await ledger.admit(
        Admission(key, identity, "digest", "conveyor.project.create.v1", subject, 1, "{}", expires_at=None, now=now)
    )
    result = await ledger.claim(
        ClaimRequest(
            key=key,
            epoch=1,
            event_id=identity,
            subject=subject,
            generation=1,
            facets=frozenset({"spec"}),
            requires=frozenset(),
            creates=True,
            deletes=False,
            names=(("project", identity),),
            locks=(),
            desired={"project_name": identity},
            replica="bench",
            max_attempts=8,
            now=now,
            until=now + 60,
        )
    )
    if not isinstance(result, Claimed):
        raise TypeError(f"not claimed: {result}")
    await ledger.intend(result.claim, "ecr:repository/x", stamp=False, now=now)
    await ledger.record_step(result.claim, "create repository", {"uri": "x"}, now=now)
    await ledger.finish(Ending(key, 1, Outcome(OutcomeKind.SUCCEEDED), report_id=identity, now=now, claim=result.claim))
    await ledger.sent([identity])


async def measure(folder: Path, callers: int, group_limit: int) -> tuple[float, float]:
    """Rounds per second, and operations per transaction."""
    config = LedgerConfig(path=folder / f"{callers}-{group_limit}.db", group_limit=group_limit)
    ledger = await SqliteLedger.open(config, observe=lambda _operation, _result, _seconds: None)
    numbers = iter(range(ROUNDS))

    async def caller() -> None:
        for number in numbers:
            await one_round(ledger, number)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    elapsed = time.perf_counter() - begun
    writes = ledger.writes
    await ledger.close()
    return ROUNDS / elapsed, writes.operations / writes.transactions


async def run(_server: Server, options: Options) -> Sequence[Table]:
    """Each setting once."""
    rows = []
    for callers, limit in SETTINGS:
        rounds, group = await measure(options.folder, callers, limit)
        numbers = (callers, limit, f"{rounds:.0f}", f"{rounds * OPERATIONS:.0f}", f"{group:.1f}")
        rows.append(tuple(map(str, numbers)))
    head = ("callers", "group limit", "rounds a second", "operations a second", "operations a transaction")
    return [Table("The SQLite ledger", head, rows)]
