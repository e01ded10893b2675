"""Writes segments, in a thread."""

import os
from pathlib import Path

from agentd.audit.folders import ChainFolder, segment_name


class SegmentFiles:
    """Appends to the files of one chain. Used by one thread at a time."""

    def __init__(self, folder: ChainFolder) -> None:
        self._folder = folder
        self._file: int | None = None
        self._number = 0
        self._durable = 0
        self._torn = False

    def path(self, number: int) -> Path:
        """A segment's file."""
        return self._folder.path / segment_name(number)

    def append(self, number: int, data: bytes) -> None:
        """Make the bytes durable behind what is durable of the segment; a new one is made when its turn has come.

        OSError: they are not durable. The same bytes are then to be given again; what became of them in the file goes
        first, nothing that had been durable does.
        """
        file = self._segment(number)
        if self._torn:
            os.ftruncate(file, self._durable)
        self._torn = True
        _write(file, data)
        os.fsync(file)
        if not self._durable:
            self._folder.sync()
        self._torn = False
        self._durable += len(data)

    def close(self) -> None:
        """Let go of the file. OSError when half an entry could not be taken off again."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            if self._torn:
                os.ftruncate(file, self._durable)
        finally:
            os.close(file)

    def _segment(self, number: int) -> int:
        if self._file is None or number != self._number:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            file = os.open(self.path(number), flags, 0o600)
            if self._file is not None:
                os.close(self._file)
            self._file, self._number, self._durable, self._torn = file, number, 0, False
        return self._file


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
