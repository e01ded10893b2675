"""Many callers, one writer, few transactions.

Operations that come while a transaction is under way are collected, and the next transaction takes them together: one
wait for the disk serves them all. A caller gets its result after the commit, never before.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar, cast

from agentd.ledger.sqlite.connection import Database, Operation, commit_together, unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Writes:
    """How many operations have been committed or refused, in how many transactions."""

    operations: int = 0
    transactions: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    operation: Operation[object]
    answer: asyncio.Future[object]


class GroupCommit:
    """Runs operations on the writing connection, in the order in which they came.

    A caller that is cancelled before its operation's transaction has begun takes the operation back; after that the
    operation takes effect as a whole and its result is dropped.
    """

    def __init__(self, database: Database, executor: Executor, *, group_limit: int, queue_limit: int) -> None:
        self._database = database
        self._executor = executor
        self._group_limit = group_limit
        self._room = asyncio.Semaphore(queue_limit)
        self._waiting: deque[_Call] = deque()
        self._busy = False
        self.writes = Writes()

    async def run(self, operation: Operation[T]) -> T:
        """The operation's result, once it is durable. Waits for room when too many others wait."""
        async with self._room:
            call = _Call(operation, asyncio.get_running_loop().create_future())
            self._waiting.append(call)
            if not self._busy:
                self._begin()
            return cast("T", await call.answer)

    def _begin(self) -> None:
        calls = self._next_group()
        self._busy = bool(calls)
        if not calls:
            return
        operations = [call.operation for call in calls]
        group = asyncio.get_running_loop().run_in_executor(self._executor, commit_together, self._database, operations)
        group.add_done_callback(lambda ended: self._end(calls, ended))

    def _next_group(self) -> Sequence[_Call]:
        calls: list[_Call] = []
        while self._waiting and len(calls) < self._group_limit:
            call = self._waiting.popleft()
            if not call.answer.done():  # else its caller has gone
                calls.append(call)
        return calls

    def _end(self, calls: Sequence[_Call], ended: asyncio.Future[list[object]]) -> None:
        self.writes = Writes(self.writes.operations + len(calls), self.writes.transactions + 1)
        for call, result in zip(calls, _results(ended, len(calls)), strict=True):
            if call.answer.done():
                continue
            if isinstance(result, Exception):
                call.answer.set_exception(result)
            else:
                call.answer.set_result(result)
        self._begin()


def _results(ended: asyncio.Future[list[object]], count: int) -> Sequence[object]:
    """The results of a transaction; when it broke in an unforeseen way nothing was written, and every caller is told."""
    error = asyncio.CancelledError("the writer was stopped") if ended.cancelled() else ended.exception()
    return ended.result() if error is None else [unavailable(error) for _ in range(count)]
