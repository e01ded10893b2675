"""Folders: one of the log, and in it one of each chain. All of it blocks, and is called in a thread.

A chain's folder holds the segments that have no copy yet, and in `stored` those that have one. Whoever works in it holds a
lock on it, which the operating system takes back when the process dies, however it does.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from agentd.audit.entries import MOST_LINE_BYTES, Head, hash_of
from agentd.core import PermanentError, Reason

STORED = "stored"
SUFFIX = ".jsonl"
_MOST_FOUND = 20
_UNFINISHED = "."  # how the name begins of a folder that is being made


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a chain."""

    path: Path
    chain: str
    number: int

    @property
    def name(self) -> str:
        """Of its copy."""
        return f"{self.chain}/{segment_name(self.number)}"


class ChainFolder:
    """A chain's folder, locked. Close it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.chain = path.name
        self._descriptor = descriptor

    @classmethod
    def make(cls, directory: Path, chain: str) -> Self:
        """The folder of a new chain. PermanentError says why there can be none."""
        path = directory / chain
        unfinished = directory / f"{_UNFINISHED}{chain}"
        try:
            directory.mkdir(parents=True, mode=0o700, exist_ok=True)
            unfinished.mkdir(mode=0o700)
            (unfinished / STORED).mkdir(mode=0o700)
            descriptor = _open_folder(unfinished)
        except OSError as error:
            raise _unusable(directory, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Under its name it is never seen without its lock.
            unfinished.rename(path)
            sync_folder(directory)
            sync_folder(directory.parent)
        except OSError as error:
            os.close(descriptor)
            raise _unusable(directory, error) from error
        return cls(path, descriptor)

    @classmethod
    def take_over(cls, path: Path) -> Self | None:
        """The folder of a replica that is no more; None when somebody works in it."""
        try:
            descriptor = _open_folder(path)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def close(self) -> None:
        """Let others work in it."""
        os.close(self._descriptor)

    def sync(self) -> None:
        """The names of its files survive a crash of the machine."""
        os.fsync(self._descriptor)

    def waiting(self) -> Sequence[Segment]:
        """Segments without a copy, in order."""
        return [Segment(path, self.chain, number) for number, path in _numbered(self.path)]

    def stored(self) -> Sequence[Segment]:
        """Segments with one, in order."""
        return [Segment(path, self.chain, number) for number, path in _numbered(self.path / STORED)]

    def mark_stored(self, segment: Segment) -> None:
        """A copy is safe."""
        segment.path.rename(self.path / STORED / segment.path.name)

    def remove_stored(self, *, before: float) -> int:
        """Remove segments with a copy that were last written to before then; how many."""
        old = [segment for segment in self.stored() if segment.path.stat().st_mtime < before]
        for segment in old:
            segment.path.unlink()
        return len(old)

    def remove_if_empty(self) -> None:
        """Remove the folder of a chain of which nothing is left."""
        if not self.waiting() and not self.stored():
            (self.path / STORED).rmdir()
            self.path.rmdir()


def folders_with_work(directory: Path, *, own: str, old_before: float) -> Sequence[Path]:
    """Of other chains, whoever works in them: those with a segment that has no copy, or is to be removed."""
    return [
        path
        for path in _chain_folders(directory, own)
        if _numbered(path) or any(old.stat().st_mtime < old_before for _, old in _numbered(path / STORED))
    ]


def heads_left_behind(directory: Path, own: str) -> Sequence[Head]:
    """The last entries of replicas that are no more, of which not everything has a copy; the newest few of them."""
    newest_first = sorted(_chain_folders(directory, own), key=lambda path: path.stat().st_mtime, reverse=True)
    found = (head for path in newest_first if (head := _head_left_behind(path)) is not None)
    return tuple(islice(found, _MOST_FOUND))


def segment_name(number: int) -> str:
    """A segment's file name."""
    return f"{number:06d}{SUFFIX}"


def sync_folder(path: Path) -> None:
    """The names in it survive a crash of the machine."""
    descriptor = _open_folder(path)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _chain_folders(directory: Path, own: str) -> Sequence[Path]:
    """Of all chains but one."""
    return [
        path
        for path in directory.iterdir()
        if path.is_dir() and path.name != own and not path.name.startswith(_UNFINISHED)
    ]


def _head_left_behind(path: Path) -> Head | None:
    """None also while somebody writes there."""
    folder = ChainFolder.take_over(path)
    if folder is None:
        return None
    try:
        for segment in reversed(folder.waiting()):
            if (head := _last_head(segment)) is not None:
                return head
    finally:
        folder.close()
    return None


def _last_head(segment: Segment) -> Head | None:
    """The last whole entry, which is durable from now on; None when there is none."""
    with segment.path.open("rb") as file:
        os.fsync(file.fileno())
        file.seek(max(0, segment.path.stat().st_size - 2 * MOST_LINE_BYTES))
        lines = file.read().splitlines(keepends=True)
    for line in reversed(lines):
        if (found := hash_of(line)) is not None:
            return Head(segment.chain, int(json.loads(line)["seq"]), found.decode())
    return None


def _numbered(folder: Path) -> Sequence[tuple[int, Path]]:
    return sorted((int(path.stem), path) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())


def _open_folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _unusable(directory: Path, error: OSError) -> PermanentError:
    return PermanentError(
        Reason.ACCESS_DENIED, f"the audit log cannot be kept in {directory}: {error.strerror}: {error.filename}"
    )
