"""One connection: how the file is opened, transactions, and the store's errors in the daemon's own words."""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from agentd.core import PermanentError, Reason, TransientError
from agentd.ledger.config import LedgerConfig
from agentd.ledger.sqlite import place, schema

T = TypeVar("T")
Parameter = str | int | float | None
Parameters = Mapping[str, Parameter]

_OLDEST_SQLITE = (3, 37)  # STRICT tables
# Switching a new file to WAL fails at once, without the busy time-out, when two processes do it together.
_WAL_TRIES = 10
_STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's virtual machine: well below a millisecond

Check = Callable[[sqlite3.Connection], object]


class Database:
    """A connection that is used by one thread at a time. Transactions are explicit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is under way. SQLite ends it by itself on some errors, such as a full disk."""
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Parameters | None = None) -> sqlite3.Cursor:
        """Run one statement. Text that UTF-8 cannot carry (lone surrogates) is kept with escapes in its place."""
        try:
            return self._connection.execute(sql, parameters or {})
        except UnicodeEncodeError:
            return self._connection.execute(sql, _storable(parameters or {}))

    def one(self, sql: str, parameters: Parameters | None = None) -> sqlite3.Row | None:
        """The first row."""
        row: sqlite3.Row | None = self.execute(sql, parameters).fetchone()
        return row

    def all(self, sql: str, parameters: Parameters | None = None) -> list[sqlite3.Row]:
        """All rows."""
        return self.execute(sql, parameters).fetchall()

    def number(self, sql: str, parameters: Parameters | None = None) -> int:
        """The first column of the only row of a query that always has one."""
        return int(self.execute(sql, parameters).fetchone()[0])

    def stop_after(self, seconds: float) -> None:
        """Break off whatever statement still runs then, with sqlite3.OperationalError: also one that nobody waits for."""
        end = time.monotonic() + seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)

    def roll_back(self) -> None:
        """Undo the transaction, if one is under way."""
        if self.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


Operation = Callable[[Database], T]


def open_for_writing(config: LedgerConfig) -> Database:
    """Make and migrate the file as needed, and open it. PermanentError or TransientError says why it cannot be."""
    place.prepare(config.path)
    connection = _connect(config)
    try:
        _switch_to_wal(connection)
        # FULL: a commit returns when the log is on the disk. fullfsync: on macOS a plain fsync does not reach it.
        for pragma in ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        schema.migrate(connection)
    except BaseException as error:
        connection.close()
        raise _refused(config.path, error) from error
    return Database(connection)


def open_for_reading(config: LedgerConfig, check: Check = schema.refuse_other) -> Database:
    """Open a file that exists. It is neither made nor migrated, and no statement can change it.

    `check` refuses what it cannot be read from: by default every version but the newest.
    """
    place.refuse_other_kinds(config.path)
    connection = _connect(config)
    try:
        connection.execute("PRAGMA query_only = ON")
        check(connection)
    except BaseException as error:
        connection.close()
        raise _refused(config.path, error) from error
    return Database(connection)


def unavailable(error: BaseException) -> TransientError:
    """The store's fault as the dispatcher knows it."""
    return TransientError(Reason.UNAVAILABLE, f"ledger: {error}")


def translated(error: Exception) -> Exception:
    """An operation's error as its caller should see it: faults of the store are transient, all else is left as it is."""
    if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
        return unavailable(error)
    return error


def snapshot(database: Database, operation: Operation[T]) -> T:
    """Run a reading operation on one state of the file."""
    try:
        database.execute("BEGIN")
        return operation(database)
    except sqlite3.Error as error:
        raise translated(error) from error
    finally:
        database.roll_back()


def commit_together(database: Database, operations: Sequence[Operation[object]]) -> list[object | Exception]:
    """Run the operations in one durable transaction, each in a savepoint of its own.

    The result or the error of each, in order. When the transaction cannot be made durable, every one has failed and
    nothing has been written.
    """
    try:
        database.execute("BEGIN IMMEDIATE")
        results = [_attempt(database, operation) for operation in operations]
        database.execute("COMMIT")
    except sqlite3.Error as error:
        database.roll_back()
        return [unavailable(error) for _ in operations]
    except BaseException:
        database.roll_back()
        raise
    return results


def _attempt(database: Database, operation: Operation[object]) -> object | Exception:
    database.execute("SAVEPOINT operation")
    try:
        result = operation(database)
    except Exception as error:
        if not database.in_transaction:
            raise
        database.execute("ROLLBACK TO operation")
        result = translated(error)
    database.execute("RELEASE operation")
    return result


def _connect(config: LedgerConfig) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        needed = ".".join(str(number) for number in _OLDEST_SQLITE)
        raise PermanentError(
            Reason.UNSUPPORTED, f"the ledger needs SQLite {needed} or newer, this is {sqlite3.sqlite_version}"
        )
    # mode=rw also for readers: it never makes the file, and the last one to close leaves no log beside it.
    connection = sqlite3.connect(
        f"{config.path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=config.busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,  # opened in one thread, used by exactly one other
    )
    connection.row_factory = sqlite3.Row
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    for _ in range(_WAL_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            # Wait, within the busy time-out, for whoever is doing it.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        else:
            return
    raise sqlite3.OperationalError("database is locked")


def _refused(path: Path, error: BaseException) -> BaseException:
    match error:
        case sqlite3.OperationalError() if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return unavailable(error)
        case sqlite3.Error():
            return PermanentError(Reason.INTERNAL_ERROR, f"the ledger at {path} cannot be used: {error}")
        case PermanentError(reason=reason, message=message):
            return PermanentError(reason, f"{path}: {message}")
        case _:
            return error


def _storable(parameters: Parameters) -> Parameters:
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in parameters.items()
    }
