"""The ledger looked at from outside, for people who look after it. Nothing is made, migrated or changed."""

import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from agentd.core import PermanentError, Reason, TransientError
from agentd.ledger.config import LedgerConfig
from agentd.ledger.sqlite import place, schema
from agentd.ledger.sqlite.connection import Database, open_for_reading

KNOWN_VERSION = len(schema.MIGRATIONS)
"""The newest schema version that this program knows."""

_MOST_DAMAGES = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where the file is, or will be. `folder` is the nearest one that exists already."""

    folder: Path
    exists: bool
    writable: bool
    """Whether this process may make and change files there."""
    file_system: str | None
    """The file system's type; None where the system has no list."""
    shared: bool
    """Whether several hosts share that kind of file system."""
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Condition:
    """What is in the file. `damages` are the first that SQLite's own check names."""

    version: int
    damages: tuple[str, ...]


def look_at_place(path: Path, mounts: Path = place.MOUNTS) -> Place:
    """The file's place on disk. PermanentError: there is something else in its way."""
    folder = _nearest_folder(path.parent)
    try:
        exists = path.exists()
        kind = place.file_system(folder.resolve(), mounts.read_text(errors="replace")) if mounts.exists() else None
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        raise PermanentError(Reason.ACCESS_DENIED, f"nothing can be kept at {path}: {error}") from error
    if exists:
        place.refuse_other_kinds(path)
    return Place(
        folder=folder,
        exists=exists,
        writable=os.access(folder, os.W_OK | os.X_OK) and (not exists or os.access(path, os.R_OK | os.W_OK)),
        file_system=kind,
        shared=kind in place.SHARED,
        free_bytes=free_bytes,
    )


def look_inside(config: LedgerConfig, *, within_s: float) -> Condition:
    """SQLite's quick check of the whole file, whatever the schema's version.

    PermanentError: the file cannot be used. TransientError: it is busy, or so large that the check took too long.
    """
    database = open_for_reading(config, schema.version)
    try:
        database.stop_after(within_s)
        return Condition(database.number("PRAGMA user_version"), _damages(database))
    except sqlite3.OperationalError as error:
        message = f"the ledger at {config.path} was not read through within {within_s:g} s: {error}"
        raise TransientError(Reason.UNAVAILABLE, message) from error
    except sqlite3.DatabaseError as error:
        raise PermanentError(Reason.INTERNAL_ERROR, f"the ledger at {config.path} is damaged: {error}") from error
    finally:
        database.close()


def _damages(database: Database) -> tuple[str, ...]:
    rows = database.all(f"PRAGMA quick_check({_MOST_DAMAGES})")
    return tuple(text for row in rows if (text := str(row[0])) != "ok")


def _nearest_folder(folder: Path) -> Path:
    """The folder itself or the nearest one above it that exists. PermanentError: a file is in the way."""
    try:
        nearest = next(found for found in (folder, *folder.absolute().parents) if found.exists())
        if nearest.is_dir():
            return nearest
    except OSError as error:
        raise PermanentError(Reason.ACCESS_DENIED, f"folder {folder}: {error}") from error
    raise PermanentError(Reason.INVALID_REQUEST, f"folder {folder} cannot be: {nearest} is a file")
