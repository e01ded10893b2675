"""The log as its writers see it: entries come in order, and one wait for the disk serves all who wait.

Entries are spelt and chained when they come, on the event loop. A thread makes them durable, as many at a time as have
come while it was busy. What could not be written stays where it is in the chain, and is given to the disk again.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import islice, takewhile
from typing import Any

from agentd.audit.config import AuditConfig
from agentd.audit.entries import FORMAT, NO_ENTRY, Chain, Head, Line, LogKind
from agentd.audit.facts import encode, redacted
from agentd.audit.segments import SegmentFiles
from agentd.audit.signing import SegmentEnd, Signer
from agentd.core import AuditKind, Reason, Runtime, TransientError
from agentd.telemetry import Metrics, get_logger

log = get_logger("audit")

Json = Any  # a JSON value whose shape is its writer's own

_GROUP = 4096
_CROWD = 512  # entries that do not wait for anybody to ask

Waiter = tuple[int, asyncio.Future[None]]


class FileAuditLog:
    """Implements `agentd.core.AuditLog` over the segments of one chain."""

    def __init__(
        self,
        replica: str,
        files: SegmentFiles,
        thread: Executor,
        config: AuditConfig,
        *,
        signer: Signer | None,
        found: Sequence[Head],
        runtime: Runtime,
        metrics: Metrics,
    ) -> None:
        self._chain = Chain(replica)
        self._files = files
        self._thread = thread
        self._config = config
        self._signer = signer
        self._runtime = runtime
        self._metrics = metrics
        self._counters = {kind: metrics.audit_entries.labels(kind.value) for kind in (*AuditKind, *LogKind)}
        self._lines: deque[Line] = deque()
        self._waiters: deque[Waiter] = deque()
        self._begun_at: float | None = None
        self._busy = False
        self._closed = False
        self._trouble: str | None = None
        self._head = Head(self._chain.name, 0, NO_ENTRY)
        self._open_segment(found)

    @property
    def head(self) -> Head:
        """The last entry that is durable: who is told it can prove later that it, and all before it, was there."""
        return self._head

    @property
    def trouble(self) -> str | None:
        """Why entries cannot be made durable; None when they can."""
        return self._trouble

    @property
    def first_open_segment(self) -> int:
        """Segments before it are closed and durable."""
        return self._lines[0].segment if self._lines else self._chain.segment + self._closed

    def append(self, kind: AuditKind, **facts: Json) -> None:
        """See the protocol. Facts are redacted; what they hold is written down before this returns."""
        if self._closed or len(self._lines) >= self._config.queue_limit:
            why = "it has been closed" if self._closed else f"{len(self._lines)} entries wait for the disk"
            raise _unavailable(self._trouble or why)
        self._add(kind, redacted(facts))
        if self._begun_at is None:
            self._begun_at = self._runtime.monotonic()
        if self._chain.segment_bytes >= self._config.segment_bytes:
            self._next_segment()
        if len(self._lines) >= _CROWD and self._trouble is None:
            self._begin()

    async def flush(self) -> None:
        """See the protocol."""
        if self._chain.seq <= self._head.seq:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._chain.seq, waiter))
        self._begin()
        try:
            async with asyncio.timeout(self._config.write_timeout_s):
                await waiter
        except TimeoutError as error:
            raise _unavailable(f"the disk has not answered for {self._config.write_timeout_s:g} s") from error

    def tend(self) -> None:
        """To be called every second or so: writes what nobody waits for, and closes a segment whose time has come."""
        if self._begun_at is not None:
            age_s = self._runtime.monotonic() - self._begun_at
            if age_s >= self._config.longest_segment_s and len(self._lines) < self._config.queue_limit:
                self._next_segment()
        self._begin()

    async def close(self) -> None:
        """Write the last entry of the chain. TransientError: it is not durable; the log then looks as after a crash."""
        if not self._closed:
            self._closed = True
            self._close_segment(final=True)
        await self.flush()

    # -- segments ------------------------------------------------------------------------------------------------------

    def _next_segment(self) -> None:
        self._close_segment(final=False)
        self._open_segment()

    def _open_segment(self, found: Sequence[Head] = ()) -> None:
        self._begun_at = None
        self._chain.begin_segment()
        facts: dict[str, Json] = {"format": FORMAT, "segment": self._chain.segment}
        if found:
            facts["found"] = [str(head) for head in found]
        self._add(LogKind.OPENED, encode(facts))

    def _close_segment(self, *, final: bool) -> None:
        chain = self._chain
        end = SegmentEnd(chain.name, chain.segment, chain.segment_entries + 1, final, chain.seq + 1, chain.hash)
        facts: dict[str, Json] = {"segment": end.segment, "entries": end.entries, "final": final}
        if self._signer is not None:
            facts["signature"] = self._signer.sign(end)
        self._add(LogKind.CLOSED, encode(facts))

    def _add(self, kind: AuditKind | LogKind, facts: bytes) -> None:
        self._lines.append(self._chain.add(kind.value, facts, at=self._runtime.now()))
        self._counters[kind].inc()

    # -- groups --------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Write what waits, once everybody has appended who does so in this turn of the loop."""
        if not self._busy and self._lines:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        segment = self._lines[0].segment
        group = list(takewhile(lambda line: line.segment == segment, islice(self._lines, _GROUP)))
        write = partial(self._files.append, segment, b"".join(line.data for line in group))
        ended = asyncio.get_running_loop().run_in_executor(self._thread, write)
        ended.add_done_callback(partial(self._end, group, self._runtime.monotonic()))

    def _end(self, group: Sequence[Line], begun: float, ended: asyncio.Future[None]) -> None:
        self._busy = False
        error = asyncio.CancelledError("the writer was stopped") if ended.cancelled() else ended.exception()
        if error is not None:
            self._failed(group[0].segment, error)
            return
        self._metrics.audit_flush_duration.observe(self._runtime.monotonic() - begun)
        for _ in group:
            self._lines.popleft()
        self._head = Head(self._chain.name, group[-1].seq, group[-1].hash)
        self._tell(None)
        while self._waiters and self._waiters[0][0] <= self._head.seq:
            _, waiter = self._waiters.popleft()
            if not waiter.done():  # else it has gone
                waiter.set_result(None)
        if self._waiters or len(self._lines) >= _CROWD:
            self._begin()

    def _failed(self, segment: int, error: BaseException) -> None:
        why = (isinstance(error, OSError) and error.strerror) or repr(error)
        trouble = f"{self._files.path(segment)}: {why}"
        waiters, self._waiters = self._waiters, deque()
        for _, waiter in waiters:
            if not waiter.done():
                waiter.set_exception(_unavailable(trouble))
        self._tell(trouble)

    def _tell(self, trouble: str | None) -> None:
        if trouble is not None and self._trouble is None:
            log.error("audit.unwritable", error=trouble, waiting=len(self._lines))
        if trouble is None and self._trouble is not None:
            log.info("audit.writable")
        self._trouble = trouble


def _unavailable(why: str) -> TransientError:
    return TransientError(Reason.UNAVAILABLE, f"audit log: {why}")
