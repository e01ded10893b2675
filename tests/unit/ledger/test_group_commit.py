"""Many operations share few transactions, and none spoils its neighbours."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agentd.core import LeaseLost, PermanentError, Reason, TransientError
from agentd.ledger import Claim, LedgerConfig
from agentd.ledger.sqlite import Writes
from agentd.ledger.sqlite.connection import open_for_writing
from tests.conformance.ledger.rig import NOW, SUCCEEDED, Event, claimed, project
from tests.unit.ledger.conftest import Observed, Open


def blocked(path: Path) -> sqlite3.Connection:
    """Another process's transaction, which keeps every writer waiting."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


async def test_many_operations_share_a_transaction(open_ledger: Open) -> None:
    ledger = await open_ledger(group_limit=50)
    assert ledger.writes == Writes(0, 0)
    await asyncio.gather(*(ledger.admit(Event(number).admission()) for number in range(1, 502)))
    # All came in one turn of the loop: ten times 50, and the one that is left.
    assert ledger.writes == Writes(operations=501, transactions=11)


async def test_one_caller_is_served_at_once(open_ledger: Open) -> None:
    ledger = await open_ledger()
    for number in range(1, 6):
        await ledger.admit(Event(number).admission())
    assert ledger.writes == Writes(operations=5, transactions=5)


async def test_the_log_is_moved_into_the_file_when_nobody_waits(open_ledger: Open, path: Path) -> None:
    ledger = await open_ledger()
    for number in range(1, 65):
        await ledger.admit(Event(number).admission())
        assert Event(1).key.encode() not in path.read_bytes(), "in the log alone"  # noqa: ASYNC240 - before anybody else has a turn
    await ledger.lookup(Event(1).key)
    await ledger.admit(Event(65).admission())  # behind it: the thread does one thing after the other
    assert Event(1).key.encode() in await asyncio.to_thread(path.read_bytes)


async def test_operations_take_effect_in_the_order_in_which_they_came(open_ledger: Open) -> None:
    ledger = await open_ledger(group_limit=7)
    endings = [Event(number, subject=project(1)).ending(SUCCEEDED) for number in range(1, 41)]
    records = await asyncio.gather(*(ledger.finish(ending) for ending in endings))
    assert [entry.report_id for entry in await ledger.outbox(100)] == [ending.report_id for ending in endings]
    assert [record.key for record in records] == [ending.key for ending in endings]


async def test_a_failing_operation_fails_alone(open_ledger: Open) -> None:
    ledger = await open_ledger()
    event = Event(1)
    bad_claim = Claim(event.key, 1, event.subject, 99, "a")
    unstorable = Event(1, desired=float("nan"))
    results = await asyncio.gather(
        ledger.admit(event.admission()),
        ledger.admit(Event(2, subject=project(2)).admission()),
        ledger.finish(event.ending(SUCCEEDED, claim=bad_claim)),
        ledger.claim(unstorable.request()),
        ledger.reopen("event/none", epoch=1, now=NOW),
        ledger.admit(Event(3, subject=project(3)).admission()),
        return_exceptions=True,
    )
    kinds = [type(result) for result in results if isinstance(result, BaseException)]
    assert kinds == [LeaseLost, ValueError, PermanentError]
    assert ledger.writes.transactions == 1
    stats = await ledger.stats()
    assert (stats.open_events, stats.finished_events, stats.leases, stats.subjects) == (3, 0, 0, 0)


async def test_an_operation_taken_back_in_time_never_happens(open_ledger: Open, path: Path) -> None:
    ledger = await open_ledger()
    with closing(blocked(path)):
        running = asyncio.ensure_future(ledger.admit(Event(1).admission()))
        for _ in range(3):
            await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(ledger.admit(Event(number).admission())) for number in (2, 3)]
        await asyncio.sleep(0)
        running.cancel()  # its transaction has begun
        waiting[0].cancel()
    await asyncio.wait([running, *waiting])
    assert await ledger.lookup(Event(1).key) is not None
    assert await ledger.lookup(Event(2).key) is None
    assert waiting[1].result() == await ledger.lookup(Event(3).key)
    assert ledger.writes.operations == 2


async def test_a_file_that_stays_busy_is_a_passing_fault(open_ledger: Open, path: Path, observed: Observed) -> None:
    ledger = await open_ledger(busy_timeout_s=0.05)
    with closing(blocked(path)):
        work = [ledger.admit(Event(number).admission()) for number in range(1, 6)]
        results = await asyncio.gather(*work, return_exceptions=True)
        assert [getattr(result, "reason", None) for result in results] == [Reason.UNAVAILABLE] * 5
        assert all(isinstance(result, TransientError) for result in results)
        assert "locked" in str(results[0])
        assert await ledger.lookup(Event(1).key) is None, "reading goes on"
    await ledger.admit(Event(1).admission())
    assert (await ledger.stats()).open_events == 1
    assert [result for operation, result, _ in observed if operation == "admit"] == ["error"] * 5 + ["ok"]


async def test_a_file_that_breaks_under_way_is_a_passing_fault(open_ledger: Open, path: Path) -> None:
    ledger = await open_ledger()
    await ledger.admit(Event(1).admission())
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP VIEW transitions; ALTER TABLE events DROP COLUMN history")
    results = await asyncio.gather(
        ledger.admit(Event(2).admission()),
        ledger.history(Event(1).key),
        ledger.repeat_report(Event(1).key, now=NOW),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [TransientError, TransientError, type(None)]
    assert await ledger.lookup(Event(2).key) is None


async def test_waiting_for_a_busy_file_ends_when_it_is_free(open_ledger: Open, path: Path) -> None:
    ledger = await open_ledger()
    with closing(blocked(path)):
        work = asyncio.ensure_future(ledger.admit(Event(1).admission()))
        assert await ledger.lookup(Event(1).key) is None
        assert not work.done()
    assert (await work).key == Event(1).key


async def test_a_full_queue_makes_callers_wait_and_then_tells_them(open_ledger: Open, path: Path) -> None:
    patient = await open_ledger()
    ledger = await open_ledger(queue_limit=3, operation_timeout_s=0.3)
    with closing(blocked(path)):
        work = [asyncio.ensure_future(ledger.admit(Event(number).admission())) for number in range(1, 11)]
        results = await asyncio.gather(*work, return_exceptions=True)
    assert all(isinstance(result, TransientError) for result in results)
    assert "no answer in 0.3 s" in str(results[-1])
    # The first transaction had begun, and goes through now that the file is free; the rest never had room.
    async with asyncio.timeout(20):
        while ledger.writes.transactions == 0:
            await asyncio.sleep(0.01)
    found = [await patient.lookup(Event(number).key) is not None for number in range(1, 11)]
    assert found == [True] * 3 + [False] * 7
    assert ledger.writes == Writes(operations=3, transactions=1)


async def test_more_callers_than_the_queue_takes_are_all_served(open_ledger: Open) -> None:
    ledger = await open_ledger(queue_limit=2)
    await asyncio.gather(*(ledger.admit(Event(number).admission()) for number in range(1, 101)))
    assert (await ledger.stats()).open_events == 100
    assert ledger.writes.transactions >= 50, "two at a time"


async def test_a_large_purge_lets_others_in_between(open_ledger: Open) -> None:
    ledger = await open_ledger(purge_limit=10)
    endings = [Event(number, subject=project(number)).ending(SUCCEEDED) for number in range(1, 36)]
    await asyncio.gather(*(ledger.finish(ending) for ending in endings))
    await ledger.sent([ending.report_id for ending in endings])
    before = ledger.writes.transactions
    assert await ledger.purge(finished_before=NOW + 1) == 35
    assert ledger.writes.transactions - before == 4
    assert (await ledger.stats()).finished_events == 0


async def test_every_operation_is_observed(open_ledger: Open, observed: Observed) -> None:
    ledger = await open_ledger()
    event = Event(1)
    attempt = await claimed(ledger, event)
    await ledger.lookup(event.key)
    with pytest.raises(LeaseLost):
        await ledger.finish(event.ending(SUCCEEDED, claim=attempt.claim, now=NOW + 1e6))
    with pytest.raises(PermanentError):
        await ledger.reopen("event/none", epoch=1, now=NOW)
    assert [(operation, result) for operation, result, _ in observed] == [
        ("admit", "ok"),
        ("claim", "ok"),
        ("lookup", "ok"),
        ("finish", "ok"),  # that a lease is lost is an answer, not a fault
        ("reopen", "error"),
    ]
    assert all(0 <= seconds < 5 for _, _, seconds in observed)


def test_a_commit_waits_for_the_disk(path: Path) -> None:
    database = open_for_writing(LedgerConfig(path=path))
    with closing(database):
        row = database.one("PRAGMA journal_mode")
        assert row is not None
        assert row[0] == "wal"
        assert database.number("PRAGMA synchronous") == 2, "FULL"
        assert database.number("PRAGMA foreign_keys") == 1
