"""Artifacts in a folder, for one machine."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from agentd.core import ArtifactStore, PermanentError, Reason, TransientError

T = TypeVar("T")


class FileArtifacts(ArtifactStore):
    """Objects are files below one folder, and `file://` URIs. Nothing outside the folder is read or written."""

    def __init__(self, root: Path, *, timeout_s: float) -> None:
        self._root = root.resolve()
        self._timeout_s = timeout_s

    async def fetch(self, uri: str, *, limit_bytes: int) -> bytes:
        path = self._inside(uri)
        return await self._in_time(uri, asyncio.to_thread(_read, path, uri, limit_bytes))

    async def store(self, key: str, data: bytes) -> str:
        path = (self._root / key).resolve()
        if path == self._root or not path.is_relative_to(self._root):
            raise PermanentError(Reason.INVALID_REQUEST, f"artifact key {key!r} leads out of the artifact store")
        await self._in_time(path.as_uri(), asyncio.to_thread(_write, path, data))
        return path.as_uri()

    async def _in_time(self, uri: str, transfer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await transfer
        except TimeoutError as error:
            raise TransientError(Reason.UNAVAILABLE, f"{uri}: the disk took over {self._timeout_s:g} s") from error

    def _inside(self, uri: str) -> Path:
        parts = urlsplit(uri)
        path = Path(unquote(parts.path)).resolve()
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not path.is_relative_to(self._root):
            raise PermanentError(Reason.DATA_UNAVAILABLE, f"{uri} is not in this agent's artifact store")
        return path


def _read(path: Path, uri: str, limit_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise PermanentError(Reason.DATA_UNAVAILABLE, f"{uri} is not there") from error
    except PermissionError as error:
        raise PermanentError(Reason.ACCESS_DENIED, f"{uri}: {error.strerror}") from error
    except OSError as error:
        raise TransientError(Reason.UNAVAILABLE, f"{uri}: {error.strerror}") from error
    if len(data) > limit_bytes:
        raise PermanentError(Reason.DATA_UNAVAILABLE, f"{uri} is larger than the limit of {limit_bytes} bytes")
    return data


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: readers see the old bytes until the new ones are on disk."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except PermissionError as error:
        raise PermanentError(Reason.ACCESS_DENIED, f"{path}: {error.strerror}") from error
    except OSError as error:
        raise TransientError(Reason.UNAVAILABLE, f"{path}: {error.strerror}") from error
