"""The adapter: each operation of the protocol, on the writing or on the reading connection."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Self, TypeVar

from agentd.core import LeaseLost, PermanentError, Reason, Subject, TransientError
from agentd.ledger.config import LedgerConfig
from agentd.ledger.protocol import (
    Admission,
    Claim,
    ClaimRequest,
    ClaimResult,
    Ending,
    Json,
    LedgerStats,
    OutboxEntry,
    Prospect,
    Record,
    Renewal,
    StepRecord,
    SubjectState,
    Transition,
    Variable,
    Waiting,
)
from agentd.ledger.sqlite import claims, events, leases, prospects, queries, variables
from agentd.ledger.sqlite.connection import (
    Database,
    Operation,
    open_for_reading,
    open_for_writing,
    snapshot,
)
from agentd.ledger.sqlite.group_commit import GroupCommit, Writes
from agentd.ledger.sqlite.rows import current_record
from agentd.ledger.sqlite.thread import WorkThread
from agentd.ledger.variables import check_name, value_text

T = TypeVar("T")
Observe = Callable[[str, str, float], None]

_HANGS_S = 5.0  # beyond the time for which another process may hold the file


class SqliteLedger:
    """The ledger in one file, for replicas on one host. See `agentd.ledger.Ledger` for the contract.

    Writes go through one thread, which commits them in groups. Reads have a thread and a connection of their own: in WAL
    mode they neither wait for writers nor hold them up, and as a writer hears of its result after the commit only, a
    read that follows sees it.
    """

    def __init__(
        self,
        config: LedgerConfig,
        observe: Observe,
        *,
        reader: Database,
        writer: Database | None,
        read_thread: WorkThread,
        write_thread: WorkThread,
    ) -> None:
        self._config = config
        self._observe = observe
        self._reader = reader
        self._writer = writer
        self._read_thread = read_thread
        self._write_thread = write_thread
        self._reading = asyncio.Semaphore(config.queue_limit)
        self._closed = False
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._group: GroupCommit | None = None
        if writer is not None:
            self._group = GroupCommit(
                writer,
                write_thread,
                group_limit=config.group_limit,
                queue_limit=config.queue_limit,
                timeout_s=config.operation_timeout_s,
            )

    @classmethod
    async def open(cls, config: LedgerConfig, *, observe: Observe, read_only: bool = False) -> Self:
        """Open the file, making and migrating it as needed; `read_only` takes it as it is and can run beside a daemon.

        `observe(operation, result, seconds)` is told of every operation; result is ok or error (of the store).
        PermanentError says in one sentence why the file cannot be used; TransientError(unavailable): it is busy.
        """
        loop = asyncio.get_running_loop()
        read_thread = WorkThread("ledger-read")
        write_thread = WorkThread("ledger-write")
        try:
            writer = None if read_only else await loop.run_in_executor(write_thread, open_for_writing, config)
            reader = await loop.run_in_executor(read_thread, open_for_reading, config)
        except BaseException:
            read_thread.shutdown(wait=False)
            write_thread.shutdown(wait=False)
            raise
        return cls(config, observe, reader=reader, writer=writer, read_thread=read_thread, write_thread=write_thread)

    @property
    def writes(self) -> Writes:
        """How many operations were written so far, in how many transactions."""
        return Writes() if self._group is None else self._group.writes

    def check(self) -> str | None:
        """What is wrong, or None: a disk that hangs raises no error."""
        allowed_s = self._config.busy_timeout_s + _HANGS_S
        for thread, work in ((self._write_thread, "transaction"), (self._read_thread, "read")):
            if (busy_s := thread.busy_s) > allowed_s:
                return f"one {work} has taken {busy_s:.0f} s (allowed: {allowed_s:g} s): the disk hangs"
        return None

    async def lookup(self, key: str) -> Record | None:
        """See the protocol."""
        return await self._read("lookup", lambda database: current_record(database, key))

    async def admit(self, admission: Admission) -> Record:
        """See the protocol."""
        return await self._write("admit", lambda database: events.admit(database, admission))

    async def reopen(self, key: str, *, epoch: int, now: float) -> Record:
        """See the protocol."""
        return await self._write("reopen", lambda database: events.reopen(database, key, epoch=epoch, now=now))

    async def claim(self, request: ClaimRequest) -> ClaimResult:
        """See the protocol."""
        return await self._write("claim", lambda database: claims.claim(database, request))

    async def foresee(self, request: ClaimRequest) -> Prospect:
        """See the protocol."""
        return await self._read("foresee", lambda database: prospects.foresee(database, request))

    async def renew(self, claims: Sequence[Claim], *, now: float, until: float) -> Sequence[Renewal]:
        """See the protocol."""
        return await self._write("renew", lambda database: leases.renew(database, claims, now=now, until=until))

    async def intend(self, claim: Claim, obj: str, *, stamp: bool, now: float) -> Renewal:
        """See the protocol."""
        return await self._write("intend", lambda database: leases.intend(database, claim, obj, stamp=stamp, now=now))

    async def record_step(self, claim: Claim, step: str, result: Json, *, now: float) -> Renewal:
        """See the protocol."""
        return await self._write(
            "record_step", lambda database: leases.record_step(database, claim, step, result, now=now)
        )

    async def release(self, claim: Claim, *, error: str | None, waiting: Waiting | None, now: float) -> None:
        """See the protocol."""
        await self._write(
            "release", lambda database: claims.release(database, claim, error=error, waiting=waiting, now=now)
        )

    async def wait(self, key: str, waiting: Waiting, *, now: float) -> None:
        """See the protocol."""
        await self._write("wait", lambda database: events.wait(database, key, waiting, now=now))

    async def finish(self, ending: Ending) -> Record:
        """See the protocol."""
        return await self._write("finish", lambda database: events.finish(database, ending))

    async def repeat_report(self, key: str, *, now: float) -> None:
        """See the protocol."""
        await self._write("repeat_report", lambda database: events.repeat_report(database, key))

    async def outbox(self, limit: int) -> Sequence[OutboxEntry]:
        """See the protocol."""
        return await self._read("outbox", lambda database: queries.outbox(database, limit))

    async def sent(self, report_ids: Sequence[str]) -> None:
        """See the protocol."""
        await self._write("sent", lambda database: events.sent(database, report_ids))

    async def history(self, key: str) -> Sequence[Transition]:
        """See the protocol."""
        return await self._read("history", lambda database: queries.history(database, key))

    async def steps(self, key: str) -> Sequence[StepRecord]:
        """See the protocol."""
        return await self._read("steps", lambda database: queries.steps(database, key))

    async def find(self, text: str) -> Sequence[Record]:
        """See the protocol."""
        return await self._read("find", lambda database: queries.find(database, text))

    async def subject(self, subject: Subject) -> SubjectState | None:
        """See the protocol."""
        return await self._read("subject", lambda database: queries.subject_state(database, subject))

    async def wanted(self, *, after: str, limit: int) -> Sequence[str]:
        """See the protocol."""
        return await self._read("wanted", lambda database: queries.wanted(database, after=after, limit=limit))

    async def events_of(self, subject: Subject, *, before: Record | None, limit: int) -> Sequence[Record]:
        """See the protocol."""
        return await self._read(
            "events_of", lambda database: queries.events_of(database, subject, before=before, limit=limit)
        )

    async def next_sequence(self, subject: Subject) -> int:
        """See the protocol."""
        return await self._write("next_sequence", lambda database: leases.next_sequence(database, subject))

    async def variable(self, name: str) -> Variable | None:
        """See the protocol."""
        return await self._read("variable", lambda database: variables.get(database, check_name(name)))

    async def variables(self, prefix: str) -> Mapping[str, Variable]:
        """See the protocol."""
        return await self._read("variables", lambda database: variables.beginning_with(database, prefix))

    async def set_variable(self, name: str, value: Json, *, version: int | None) -> bool:
        """See the protocol."""
        text = value_text(value)
        return await self._write(
            "set_variable", lambda database: variables.put(database, check_name(name), text, version=version)
        )

    async def stats(self) -> LedgerStats:
        """See the protocol."""
        return await self._read("stats", queries.stats)

    async def purge(self, *, finished_before: float) -> int:
        """See the protocol."""
        limit = self._config.purge_limit
        total = 0
        while True:
            gone = await self._write(
                "purge", lambda database: events.purge(database, finished_before=finished_before, limit=limit)
            )
            total += gone
            if gone < limit:
                return total

    async def close(self) -> None:
        """See the protocol. Operations that come later are refused."""
        if self._closed:
            return
        self._closed = True
        try:
            async with asyncio.timeout(self._config.operation_timeout_s):
                await self._let_go()
        except TimeoutError as error:
            raise TransientError(Reason.UNAVAILABLE, "ledger: the disk did not answer while closing") from error
        finally:
            self._read_thread.shutdown(wait=False)
            self._write_thread.shutdown(wait=False)

    async def _let_go(self) -> None:
        await self._quiet.wait()
        # Each thread does one thing at a time: the transaction of a caller that has gone ends before its connection.
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._read_thread, self._reader.close)
        if self._group is not None and self._writer is not None:
            self._group.stop_alarm()
            await loop.run_in_executor(self._write_thread, self._writer.close)

    async def _read(self, name: str, operation: Operation[T]) -> T:
        return await self._observed(name, self._snapshot, operation)

    async def _write(self, name: str, operation: Operation[T]) -> T:
        if self._group is None:
            raise PermanentError(Reason.INTERNAL_ERROR, f"ledger: {name} on a ledger that was opened to be read")
        return await self._observed(name, self._group.run, operation)

    async def _snapshot(self, operation: Operation[T]) -> T:
        async with asyncio.timeout(self._config.operation_timeout_s), self._reading:
            return await asyncio.get_running_loop().run_in_executor(
                self._read_thread, snapshot, self._reader, operation
            )

    async def _observed(self, name: str, run: Callable[[Operation[T]], Awaitable[T]], operation: Operation[T]) -> T:
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            self._enter()
            try:
                answer = await run(operation)
            finally:
                self._leave()
        except LeaseLost:
            self._observe(name, "ok", clock() - begun)  # an answer, not a fault
            raise
        except TimeoutError as error:
            self._observe(name, "error", clock() - begun)
            message = f"ledger: {name} got no answer in {self._config.operation_timeout_s:g} s"
            raise TransientError(Reason.UNAVAILABLE, message) from error
        except Exception:
            self._observe(name, "error", clock() - begun)
            raise
        self._observe(name, "ok", clock() - begun)
        return answer

    def _enter(self) -> None:
        if self._closed:
            raise TransientError(Reason.UNAVAILABLE, "ledger: closed")
        self._under_way += 1
        self._quiet.clear()

    def _leave(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._quiet.set()
