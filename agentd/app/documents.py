"""Documents of the customer's that are looked at again and again: a policy, a key set, a key.

What cannot be read or used leaves the last good one in force, and is told: by a log line, a metric and a warning. At start
there is no last good one: then the agent does not start.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Generic, Literal, TypeVar

from agentd.core import AgentError, PermanentError, Reason, Runtime, SecretStore, TransientError
from agentd.telemetry import Health, Metrics, get_logger

log = get_logger("app")

T = TypeVar("T")
Read = Callable[[], Awaitable[bytes]]
Name = Literal["policy", "keys", "signing-key"]

_MOST_BYTES = 256 * 1024
_READ_S = 10.0


class Document(Generic[T]):
    """One document. `where` names its place for people; `parse` raises ValueError for what cannot be used."""

    def __init__(
        self,
        name: Name,
        where: str,
        read: Read,
        parse: Callable[[bytes], T],
        *,
        reload_s: float,
        runtime: Runtime,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._name = name
        self._where = where
        self._read = read
        self._parse = parse
        self._reload_s = reload_s
        self._runtime = runtime
        self._broken = metrics.document_broken.labels(name)
        self.loop = f"document-{name}"
        """The name of the loop that looks at it."""
        self._pulse = health.pulse(self.loop)
        self._text = b""
        self._good: T | None = None
        self.problem: str | None = None
        """Why what the document says now is not in force; None when it is."""

    async def open(self) -> None:
        """Read it for the first time. PermanentError(invalid_request) names the place and the problem."""
        await self._look()
        if self._good is None:
            raise PermanentError(Reason.INVALID_REQUEST, f"{self._where}: {self.problem}")

    def current(self) -> T:
        """The last good one. ValueError before `open` has returned."""
        if self._good is None:
            raise ValueError(f"{self._where} has not been read")
        return self._good

    def warnings(self) -> tuple[str, ...]:
        """What somebody should look at."""
        if self.problem is None:
            return ()
        return (f"{self._where} cannot be used as it is now, what it said before is in force: {self.problem}",)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._pulse.beat("sleeping", within_s=self._reload_s)
            await self._runtime.sleep(self._reload_s)
            self._pulse.beat("reading", within_s=_READ_S)
            await self._look()
            if self.problem is None:
                self._pulse.succeeded()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_READ_S):
                text = await self._read()
                if text != self._text or self._good is None:
                    # In a thread: a long policy takes longer than anything on the loop may.
                    self._good = await asyncio.to_thread(self._parse, text)
                    self._text = text
                    log.info("document.in_force", document=self._name, place=self._where)
        except (ValueError, TimeoutError, AgentError) as error:
            self._tell(error.message if isinstance(error, AgentError) else str(error) or "it takes too long to read")
        else:
            self._tell(None)

    def _tell(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            log.error("document.broken", document=self._name, place=self._where, error=problem)
        self.problem = problem
        self._broken.set(0 if problem is None else 1)


def file(path: Path) -> Read:
    """Reads a file, in a thread."""
    return partial(asyncio.to_thread, _read_file, path)


def secret(store: SecretStore, name: str) -> Read:
    """Reads a secret."""
    return partial(store.fetch, name, limit_bytes=_MOST_BYTES)


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            text = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise TransientError(Reason.UNAVAILABLE, f"{error.strerror or error}") from error
    if len(text) > _MOST_BYTES:
        raise PermanentError(Reason.INVALID_REQUEST, f"is larger than {_MOST_BYTES} bytes")
    return text
