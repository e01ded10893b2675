"""Copies of the audit log in a folder."""

import asyncio
import os
from pathlib import Path

from agentd.core import PermanentError, Reason, TransientError


class FolderAuditStore:
    """Implements `agentd.core.AuditStore`. Files below one folder; only new ones are made, none is replaced."""

    def __init__(self, root: Path, *, timeout_s: float) -> None:
        self._root = root
        self._timeout_s = timeout_s

    async def put(self, name: str, data: bytes) -> None:
        """See the protocol."""
        path = self._root / name
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.to_thread(_put, path, data)
        except TimeoutError as error:
            raise TransientError(Reason.UNAVAILABLE, f"{path}: the disk took over {self._timeout_s:g} s") from error
        except PermissionError as error:
            raise PermanentError(Reason.ACCESS_DENIED, f"{path}: {error.strerror}") from error
        except OSError as error:
            raise TransientError(Reason.UNAVAILABLE, f"{path}: {error.strerror}") from error


def _put(path: Path, data: bytes) -> None:
    """Durable. What an earlier call could not finish is gone on with, so no byte is ever written over."""
    path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab+") as file:
        file.seek(0)
        there = file.read(len(data) + 1)
        if not data.startswith(there):
            raise PermanentError(Reason.CONFLICT, f"{path} holds something else than the file to be kept there")
        file.write(data[len(there) :])
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
