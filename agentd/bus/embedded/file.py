"""The file: opened, made and given its tables; one connection, used by one thread at a time."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentd.core import PermanentError, Reason, TransientError

_APPLICATION = 0x61676471  # "agdq": it tells the file from any other that SQLite keeps
_VERSION = 1
_OLDEST_SQLITE = (3, 37)  # STRICT tables
# Switching a new file to WAL fails at once, without the busy time-out, when two processes do it together.
_WAL_TRIES = 10
_TABLES = """
    CREATE TABLE queues (
        name TEXT PRIMARY KEY,
        max_message_bytes INTEGER NOT NULL,
        retention_s REAL NOT NULL,
        visibility_s REAL NOT NULL,
        dead_letters TEXT,
        max_receive_count INTEGER
    ) STRICT;
    CREATE TABLE messages (
        place INTEGER PRIMARY KEY,
        queue TEXT NOT NULL REFERENCES queues ON DELETE CASCADE,
        id TEXT NOT NULL,
        body TEXT NOT NULL,
        attributes TEXT NOT NULL,
        message_group TEXT,
        sent_at REAL NOT NULL,
        visible_at REAL NOT NULL,
        received_at REAL,
        receives INTEGER NOT NULL DEFAULT 0,
        receipt TEXT
    ) STRICT;
    CREATE INDEX messages_by_time ON messages (queue, visible_at, place);
    CREATE INDEX messages_by_place ON messages (queue, place);
    CREATE TABLE dedupes (
        queue TEXT NOT NULL REFERENCES queues ON DELETE CASCADE,
        id TEXT NOT NULL,
        until REAL NOT NULL,
        PRIMARY KEY (queue, id)
    ) STRICT, WITHOUT ROWID;
"""


def open_file(path: Path, *, create: bool, busy_s: float) -> sqlite3.Connection:
    """A connection with explicit transactions, whose commits are on the disk. Raises PermanentError and sqlite3.Error.

    A file that is made belongs to this user alone, as does its folder.
    """
    try:
        if create:
            path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            path.touch(mode=0o600)
        if not path.is_file():
            raise PermanentError(Reason.INVALID_REQUEST, f"there is no file {path}; the daemon makes it when it starts")
        return _connect(path, busy_s)
    except OSError as error:
        raise PermanentError(Reason.ACCESS_DENIED, f"{path} cannot be used: {error.strerror or error}") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """What is written in the block is on the disk when it ends, or not at all when it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def translated(error: sqlite3.Error, path: Path) -> TransientError | PermanentError:
    """The error in our words: a file that is busy, or a disk that is full, may be mended; another kind of file may not."""
    message = f"{path}: {error}"
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    ):
        return PermanentError(Reason.ACCESS_DENIED, message)
    if isinstance(error, sqlite3.OperationalError):
        return TransientError(Reason.UNAVAILABLE, message)
    return PermanentError(Reason.INVALID_REQUEST, message)


def _connect(path: Path, busy_s: float) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        needed = ".".join(str(number) for number in _OLDEST_SQLITE)
        raise PermanentError(
            Reason.UNSUPPORTED, f"an embedded queue needs SQLite {needed} or newer, this is {sqlite3.sqlite_version}"
        )
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",  # it never makes the file
        uri=True,
        timeout=busy_s,
        isolation_level=None,
        check_same_thread=False,  # opened in one thread, used by exactly one other
    )
    try:
        connection.row_factory = sqlite3.Row
        is_new = _is_new(connection, path)
        _switch_to_wal(connection)
        # FULL: a commit returns when the log is on the disk. fullfsync: on macOS a plain fsync does not reach it.
        for pragma in ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        if is_new:
            _make_tables(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    for _ in range(_WAL_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            with transaction(connection):  # waits, within the busy time-out, for whoever is doing it
                pass
        else:
            return
    raise sqlite3.OperationalError("database is locked")


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is empty. PermanentError for one that is neither that nor ours."""
    application, version, tables = (
        connection.execute(question).fetchone()[0]
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
    )
    if (application, version, tables) == (0, 0, 0):
        return True
    if application != _APPLICATION:
        raise PermanentError(Reason.INVALID_REQUEST, f"{path} is no file of queues")
    if version != _VERSION:
        raise PermanentError(Reason.UNSUPPORTED, f"{path} is of version {version}, this program knows {_VERSION} alone")
    return False


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        if not _is_new(connection, path):
            return  # another process was faster
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
