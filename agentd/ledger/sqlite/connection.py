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
Parameters = Sequence[Parameter] | Mapping[str, Parameter]

_OLDEST_SQLITE = (3, 38)  # STRICT tables, and JSON by ->>
# Switching a new file to WAL fails at once, without the busy time-out, when two processes do it together.
_WAL_TRIES = 10
# The log is moved into the file between commits, see `tidy`; where there is no pause, by the commit that makes it 16 MiB long.
_LONGEST_LOG_PAGES = 4_000
_STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's virtual machine: well below a millisecond

Check = Callable[[sqlite3.Connection], object]


class Database:
    """A connection that is used by one thread at a time. Transactions are explicit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._tick: int | None = None
        self._noted = 0

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is under way. SQLite ends it by itself on some errors, such as a full disk."""
        return self._connection.in_transaction

    @property
    def changes(self) -> int:
        """Rows written since the connection was opened."""
        return self._connection.total_changes

    def begin(self) -> None:
        """Begin to write."""
        self._tick, self._noted = None, 0
        self._connection.execute("BEGIN IMMEDIATE")

    def position(self) -> int:
        """A number above all that were given before, in whatever process: the place of a note among all notes."""
        if self._tick is None:
            self._tick = self.number("UPDATE clock SET ticks = ticks + 1 RETURNING ticks")
        self._noted += 1
        return self._tick * 1_000_000 + self._noted

    def execute(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        """Run one statement. Text that UTF-8 cannot carry (lone surrogates) is kept with escapes in its place."""
        try:
            return self._connection.execute(sql, parameters)
        except UnicodeEncodeError:
            return self._connection.execute(sql, _storable(parameters))

    def one(self, sql: str, parameters: Parameters = ()) -> sqlite3.Row | None:
        """The first row."""
        row: sqlite3.Row | None = self.execute(sql, parameters).fetchone()
        return row

    def all(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """All rows."""
        return self.execute(sql, parameters).fetchall()

    def number(self, sql: str, parameters: Parameters = ()) -> int:
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
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LONGEST_LOG_PAGES}")
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


def storable(text: str) -> str:
    """The text as it is read again: what UTF-8 cannot carry (lone surrogates) as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


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
    """Run the operations in one durable transaction.

    The result or the error of each, in order; one that fails has written nothing. When the transaction cannot be made
    durable, every one has failed and nothing has been written.
    """
    try:
        return _commit(database, operations)
    except _Spoiled:
        # Rare: an operation failed after it had written something, which must not stay. Each for itself, then.
        return [result for operation in operations for result in _alone(database, operation)]


def tidy(database: Database) -> None:
    """Move the log into the file as far as readers let it, while nobody waits: a commit that had to would take thrice as long."""
    try:
        database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    except sqlite3.Error:
        # Nothing is lost, and nobody has asked: a disk in trouble fails the next commit.
        return


class _Spoiled(Exception):
    """An operation has written to the transaction and failed: `error`."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _commit(database: Database, operations: Sequence[Operation[object]]) -> list[object | Exception]:
    try:
        database.begin()
        results = [_attempt(database, operation) for operation in operations]
        database.execute("COMMIT")
    except sqlite3.Error as error:
        database.roll_back()
        return [unavailable(error) for _ in operations]
    except BaseException:
        database.roll_back()
        raise
    return results


def _alone(database: Database, operation: Operation[object]) -> list[object | Exception]:
    try:
        return _commit(database, [operation])
    except _Spoiled as spoiled:
        return [translated(spoiled.error)]


def _attempt(database: Database, operation: Operation[object]) -> object | Exception:
    before = database.changes
    try:
        return operation(database)
    except Exception as error:
        if not database.in_transaction:
            raise
        if database.changes != before:
            raise _Spoiled(error) from error
        return translated(error)


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
    if isinstance(parameters, Mapping):
        return {name: _storable_one(value) for name, value in parameters.items()}
    return [_storable_one(value) for value in parameters]


def _storable_one(value: Parameter) -> Parameter:
    return storable(value) if isinstance(value, str) else value
