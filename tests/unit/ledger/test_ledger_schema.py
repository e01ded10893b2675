"""Migrations: in order, whole or not at all, and never backwards."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agentd.core import Outcome, OutcomeKind, PermanentError, Reason, Subject
from agentd.ledger import Claim, Held, StepRecord
from agentd.ledger.sqlite.schema import APPLICATION_ID, MIGRATIONS, migrate, version
from tests.unit.ledger.conftest import Open

VERSION_1 = Path(__file__).with_name("version_1.sql")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "any.db", isolation_level=None)) as opened:
        yield opened


def schema_of(path: Path) -> list[tuple[str, str, str]]:
    """Every table and index, and its columns, without the way in which the statements were laid out."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT type, name FROM sqlite_schema ORDER BY type, name").fetchall()
        return [
            (kind, name, repr(connection.execute(f"PRAGMA {kind}_xinfo('{name}')").fetchall())) for kind, name in tables
        ]


async def test_a_ledger_of_version_1_goes_on(open_ledger: Open, path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1.read_text())
    ledger = await open_ledger()

    old, running = await ledger.lookup("event/old"), await ledger.lookup("event/running")
    assert old is not None
    assert running is not None
    assert (old.epoch, old.outcome) == (2, Outcome(OutcomeKind.SUCCEEDED, changed=True))
    assert (old.sequence, old.objects, old.expires_at) == (5, ("ecr:repository/alpha",), 2000.0)
    assert [entry.report_id for entry in await ledger.outbox(10)] == ["r-2"]
    assert await ledger.steps("event/running") == [StepRecord(1, "create", {"uri": "x"}, 1004.75)]
    claim = Claim("event/running", 1, Subject("project", "1"), 4, "a")
    assert [renewal.valid for renewal in await ledger.renew([claim], now=1010.0, until=1070.0)] == [True]
    state = await ledger.subject(Subject("project", "1"))
    assert state is not None
    assert (state.token, state.facets, state.names) == (4, {"spec": 2}, (("project", "alpha"),))
    assert state.held_by == Held("event/running", "a", "project/1", 1070.0)
    gone = await ledger.subject(Subject("project", "2"))
    assert gone is not None
    assert gone.tombstone == 9
    await ledger.close()

    with closing(sqlite3.connect(path)) as connection:
        assert version(connection) == len(MIGRATIONS)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    fresh = tmp_path / "fresh.db"
    with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        migrate(connection)
    assert schema_of(path) == schema_of(fresh)


def test_migrations_go_in_order_from_any_version(connection: sqlite3.Connection) -> None:
    first, second = ("CREATE TABLE t (a)",), ("ALTER TABLE t ADD b", "INSERT INTO t VALUES (1, 2)")
    migrate(connection, [first])
    assert version(connection) == 1
    migrate(connection, [first, second])
    migrate(connection, [first, second])
    assert version(connection) == 2
    assert connection.execute("SELECT a, b FROM t").fetchall() == [(1, 2)]


def test_a_migration_that_fails_leaves_no_trace(connection: sqlite3.Connection) -> None:
    first, second = ("CREATE TABLE t (a)",), ("INSERT INTO t VALUES (1)", "INSERT INTO missing VALUES (1)")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [first, second])
    assert not connection.in_transaction
    assert version(connection) == 1
    assert connection.execute("SELECT a FROM t").fetchall() == []


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_newer_schema_is_refused(open_ledger: Open, path: Path, *, read_only: bool) -> None:
    ledger = await open_ledger()
    await ledger.close()
    newer = len(MIGRATIONS) + 1
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {newer}")
    with pytest.raises(PermanentError, match=f"schema version {newer}, this program knows versions up to") as caught:
        await open_ledger(read_only=read_only)
    assert caught.value.reason is Reason.UNSUPPORTED
    assert str(path) in caught.value.message


async def test_a_reader_does_not_migrate(open_ledger: Open, path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    with pytest.raises(PermanentError, match="schema version 0; start this version of the agent once"):
        await open_ledger(read_only=True)
