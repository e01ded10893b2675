"""Many callers, one writer, few transactions.

Operations that come in one turn of the event loop, or while a transaction is under way, are collected, and the next
transaction takes them together: one wait for the disk, and one way to the writer's thread and back, serve them all. A caller
gets its result after the commit, never before.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar, cast

from agentd.core import lean
from agentd.ledger.sqlite.connection import Database, Operation, commit_together, tidy, unavailable

T = TypeVar("T")

_UNTIDY = 64  # transactions, after which the log is moved into the file when nobody waits


@lean(frozen=True, slots=True)
class Writes:
    """How many operations have been committed or refused, in how many transactions."""

    operations: int = 0
    transactions: int = 0


@dataclass(slots=True, eq=False)
class _Call:
    operation: Operation[object]
    answer: asyncio.Future[object]
    due_at: float


class GroupCommit:
    """Runs operations on the writing connection, in the order in which they came.

    A caller that is cancelled, or has waited for `timeout_s`, before its operation's transaction has begun takes the
    operation back; after that the operation takes effect as a whole and its result is dropped.
    """

    def __init__(
        self, database: Database, executor: Executor, *, group_limit: int, queue_limit: int, timeout_s: float
    ) -> None:
        self._database = database
        self._executor = executor
        self._group_limit = group_limit
        self._timeout_s = timeout_s
        self._room = asyncio.Semaphore(queue_limit)
        self._waiting: deque[_Call] = deque()
        self._under_way: Sequence[_Call] = ()
        self._busy = False
        self._alarm: asyncio.TimerHandle | None = None
        self._untidy = 0
        self.writes = Writes()

    async def run(self, operation: Operation[T]) -> T:
        """The operation's result, once it is durable. Waits for room when too many others wait. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        due_at = loop.time() + self._timeout_s
        async with self._room:  # in order: there is room once those that came before have had their time
            call = _Call(operation, loop.create_future(), due_at)
            self._waiting.append(call)
            if not self._busy:
                self._busy = True
                loop.call_soon(self._begin)
            if self._alarm is None:
                self._alarm = loop.call_at(due_at, self._ring)
            return cast("T", await call.answer)

    def stop_alarm(self) -> None:
        """Nobody waits any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _begin(self) -> None:
        calls = self._under_way = self._next_group()
        self._busy = bool(calls) or self._untidy >= _UNTIDY
        if not self._busy:
            return
        loop = asyncio.get_running_loop()
        if not calls:
            self._untidy = 0
            loop.run_in_executor(self._executor, tidy, self._database).add_done_callback(self._tidied)
            return
        self._untidy += 1
        operations = [call.operation for call in calls]
        group = loop.run_in_executor(self._executor, commit_together, self._database, operations)
        group.add_done_callback(self._end)

    def _tidied(self, _done: asyncio.Future[None]) -> None:
        self._begin()

    def _next_group(self) -> Sequence[_Call]:
        calls: list[_Call] = []
        while self._waiting and len(calls) < self._group_limit:
            call = self._waiting.popleft()
            if not call.answer.done():  # else its caller has gone
                calls.append(call)
        return calls

    def _end(self, ended: asyncio.Future[list[object]]) -> None:
        calls = self._under_way
        self.writes = Writes(self.writes.operations + len(calls), self.writes.transactions + 1)
        for call, result in zip(calls, _results(ended, len(calls)), strict=True):
            if call.answer.done():
                continue
            if isinstance(result, Exception):
                call.answer.set_exception(result)
            else:
                call.answer.set_result(result)
        # Behind the callers: what they ask for next goes along.
        ended.get_loop().call_soon(self._begin)

    def _ring(self) -> None:
        """Tell those that have waited for too long, and look again when the next one's time has come."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        unanswered = [call for call in (*self._under_way, *self._waiting) if not call.answer.done()]
        for call in unanswered:
            if call.due_at <= now:
                call.answer.set_exception(TimeoutError())
        left = [call.due_at for call in unanswered if call.due_at > now]
        self._alarm = loop.call_at(min(left), self._ring) if left else None


def _results(ended: asyncio.Future[list[object]], count: int) -> Sequence[object]:
    """The results of a transaction; when it broke in an unforeseen way nothing was written, and every caller is told."""
    error = asyncio.CancelledError("the writer was stopped") if ended.cancelled() else ended.exception()
    return ended.result() if error is None else [unavailable(error) for _ in range(count)]
