"""The adapter: each operation of the protocol, as a transaction of a store of documents."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeVar

from agentd.core import LeaseLost, PermanentError, Reason, Runtime, Subject, TransientError
from agentd.ledger.documents import (
    claims,
    endings,
    layout,
    leases,
    many_locks,
    prospects,
    purge,
    queries,
    records,
    variables,
)
from agentd.ledger.documents.store import DocumentStore
from agentd.ledger.documents.transaction import Observe, Transaction, Transactions
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
from agentd.ledger.variables import check_name, value_text

T = TypeVar("T")

_LATE_S = 5.0  # that the end of an operation may take once its time is over


class DocumentLedger:
    """The ledger in a store that several hosts share. See `agentd.ledger.Ledger` for the contract.

    Every operation reads, decides, and writes all of it on condition that nothing has changed meanwhile; else it begins anew.
    More than a transaction holds is taken in several: a claim with many locks still happens at one moment, renewals and
    reports are then extended and taken out a hundred at a time.
    """

    def __init__(
        self, store: DocumentStore, runtime: Runtime, observe: Observe, *, operation_timeout_s: float, read_only: bool
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._observe = observe
        self._timeout_s = operation_timeout_s
        self._read_only = read_only
        self._transactions = Transactions(store, runtime, observe)
        self._last_tick = 0
        self._closed = False
        self._under_way: set[_Operation] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    @classmethod
    async def open(
        cls,
        store: DocumentStore,
        runtime: Runtime,
        observe: Observe,
        *,
        operation_timeout_s: float,
        read_only: bool = False,
    ) -> Self:
        """A ledger in a store that is open, which is the ledger's from then on.

        `observe(operation, result, seconds)` is told of every operation; result is ok or error (of the store).
        PermanentError(unsupported): the store is laid out for another version of the agent.
        """
        ledger = cls(store, runtime, observe, operation_timeout_s=operation_timeout_s, read_only=read_only)
        try:
            await ledger._run("open", lambda txn: layout.check(txn, read_only=read_only))
        except BaseException:
            await store.close()
            raise
        return ledger

    def check(self) -> str | None:
        """What is wrong, or None: an operation that goes on although its time is over."""
        allowed_s = self._timeout_s + _LATE_S
        now = self._runtime.monotonic()
        late = [operation for operation in self._under_way if now - operation.begun > allowed_s]
        if not late:
            return None
        return f"{late[0].name} has taken {now - late[0].begun:.0f} s (allowed: {allowed_s:g} s): it does not end"

    async def lookup(self, key: str) -> Record | None:
        """See the protocol."""
        return await self._run("lookup", lambda txn: queries.lookup(txn, key))

    async def admit(self, admission: Admission) -> Record:
        """See the protocol."""
        return await self._write("admit", lambda txn: records.admit(txn, admission))

    async def reopen(self, key: str, *, epoch: int, now: float) -> Record:
        """See the protocol."""
        return await self._write("reopen", lambda txn: endings.reopen(txn, key, epoch=epoch, now=now))

    async def claim(self, request: ClaimRequest) -> ClaimResult:
        """See the protocol."""
        if len(request.locks) <= many_locks.LOCKS_AT_ONCE:
            return await self._write("claim", partial(claims.claim, request=request))
        self._refuse_if_read_only("claim")
        return await self._observed("claim", partial(many_locks.claim, self._transactions, self._runtime, request))

    async def foresee(self, request: ClaimRequest) -> Prospect:
        """See the protocol."""
        return await self._run("foresee", partial(prospects.foresee, request=request))

    async def renew(self, claims: Sequence[Claim], *, now: float, until: float) -> Sequence[Renewal]:
        """See the protocol."""
        renewals: list[Renewal] = []
        for some in _batches(claims, self._store.limits.changes):
            renewals += await self._write("renew", partial(leases.renew, claims=some, now=now, until=until))
        return renewals

    async def intend(self, claim: Claim, obj: str, *, stamp: bool, now: float) -> Renewal:
        """See the protocol."""
        return await self._write("intend", lambda txn: leases.intend(txn, claim, obj, stamp=stamp, now=now))

    async def record_step(self, claim: Claim, step: str, result: Json, *, now: float) -> Renewal:
        """See the protocol."""
        return await self._write("record_step", lambda txn: leases.record_step(txn, claim, step, result, now=now))

    async def release(self, claim: Claim, *, error: str | None, waiting: Waiting | None, now: float) -> None:
        """See the protocol."""
        await self._write("release", lambda txn: leases.release(txn, claim, error=error, waiting=waiting, now=now))

    async def wait(self, key: str, waiting: Waiting, *, now: float) -> None:
        """See the protocol."""
        await self._write("wait", lambda txn: records.wait(txn, key, waiting, now=now))

    async def finish(self, ending: Ending) -> Record:
        """See the protocol."""
        tick = self._tick()
        return await self._write("finish", lambda txn: endings.finish(txn, ending, tick=tick))

    async def repeat_report(self, key: str, *, now: float) -> None:
        """See the protocol."""
        tick = self._tick()
        await self._write("repeat_report", lambda txn: endings.repeat_report(txn, key, now=now, tick=tick))

    async def outbox(self, limit: int) -> Sequence[OutboxEntry]:
        """See the protocol."""
        return await self._run("outbox", lambda txn: queries.outbox(txn, limit))

    async def sent(self, report_ids: Sequence[str]) -> None:
        """See the protocol."""
        for some in _batches(report_ids, self._store.limits.changes):
            await self._write("sent", partial(endings.sent, report_ids=some))

    async def history(self, key: str) -> Sequence[Transition]:
        """See the protocol."""
        return await self._run("history", lambda txn: queries.history(txn, key))

    async def steps(self, key: str) -> Sequence[StepRecord]:
        """See the protocol."""
        return await self._run("steps", lambda txn: queries.steps(txn, key))

    async def find(self, text: str) -> Sequence[Record]:
        """See the protocol."""
        return await self._run("find", lambda txn: queries.find(txn, text))

    async def subject(self, subject: Subject) -> SubjectState | None:
        """See the protocol."""
        return await self._run("subject", lambda txn: queries.subject_state(txn, subject))

    async def wanted(self, *, after: str, limit: int) -> Sequence[str]:
        """See the protocol."""
        return await self._run("wanted", lambda txn: queries.wanted(txn, after=after, limit=limit))

    async def events_of(self, subject: Subject, *, before: Record | None, limit: int) -> Sequence[Record]:
        """See the protocol."""
        return await self._run("events_of", lambda txn: queries.events_of(txn, subject, before=before, limit=limit))

    async def next_sequence(self, subject: Subject) -> int:
        """See the protocol."""
        return await self._write("next_sequence", partial(leases.next_sequence, subject=subject))

    async def variable(self, name: str) -> Variable | None:
        """See the protocol."""
        return await self._run("variable", lambda txn: variables.get(txn, check_name(name)))

    async def variables(self, prefix: str) -> Mapping[str, Variable]:
        """See the protocol."""
        return await self._run("variables", lambda txn: variables.beginning_with(txn, prefix))

    async def set_variable(self, name: str, value: Json, *, version: int | None) -> bool:
        """See the protocol."""
        check_name(name)
        value_text(value)
        return await self._write("set_variable", lambda txn: variables.put(txn, name, value, version=version))

    async def stats(self) -> LedgerStats:
        """See the protocol."""
        return await self._run("stats", queries.stats)

    async def purge(self, *, finished_before: float) -> int:
        """See the protocol."""
        total = 0
        for partition in self._transactions.places.done_shards():
            total += await self._purge(partition, finished_before)
        return total

    async def close(self) -> None:
        """See the protocol. Operations that come later are refused."""
        if self._closed:
            return
        self._closed = True
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._quiet.wait()
        except TimeoutError as error:
            raise TransientError(Reason.UNAVAILABLE, "ledger: the store did not answer while closing") from error
        finally:
            await self._store.close()

    async def _purge(self, partition: str, finished_before: float) -> int:
        total, after = 0, ""
        while True:
            listed = partial(purge.listed, partition=partition, finished_before=finished_before, after=after)
            found = await self._write("purge", listed)
            if not found:
                return total
            after = found[-1][0]
            total += await self._write("purge", partial(purge.forget, keys=[key for _, key in found]))

    def _tick(self) -> int:
        """Microseconds that only grow: which of two reports of the same time came first."""
        self._last_tick = max(self._last_tick + 1, int(self._runtime.now() * 1e6))
        return self._last_tick

    async def _write(self, name: str, work: Callable[[Transaction], Awaitable[T]]) -> T:
        self._refuse_if_read_only(name)
        return await self._run(name, work)

    def _refuse_if_read_only(self, name: str) -> None:
        if self._read_only:
            raise PermanentError(Reason.INTERNAL_ERROR, f"ledger: {name} on a ledger that was opened to be read")

    async def _run(self, name: str, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self._observed(name, partial(self._transactions.run, work))

    async def _observed(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        operation = _Operation(name, self._runtime.monotonic())
        try:
            with self._counted(operation):
                async with asyncio.timeout(self._timeout_s):
                    answer = await work()
        except LeaseLost:
            self._tell(operation, "ok")  # an answer, not a fault
            raise
        except TimeoutError as error:
            self._tell(operation, "error")
            message = f"ledger: {name} got no answer in {self._timeout_s:g} s"
            raise TransientError(Reason.UNAVAILABLE, message) from error
        except Exception:
            self._tell(operation, "error")
            raise
        self._tell(operation, "ok")
        return answer

    def _tell(self, operation: "_Operation", result: str) -> None:
        self._observe(operation.name, result, self._runtime.monotonic() - operation.begun)

    @contextmanager
    def _counted(self, operation: "_Operation") -> Iterator[None]:
        if self._closed:
            raise TransientError(Reason.UNAVAILABLE, "ledger: closed")
        self._under_way.add(operation)
        self._quiet.clear()
        try:
            yield
        finally:
            self._under_way.discard(operation)
            if not self._under_way:
                self._quiet.set()


@dataclass(frozen=True, slots=True, eq=False)
class _Operation:
    """An operation that is under way."""

    name: str
    begun: float


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
