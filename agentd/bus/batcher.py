"""Many callers, few calls: entries wait a moment for company and travel together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from agentd.bus.protocol import EntryFailed, EntryRefused, EntryResult
from agentd.core import Deadline, PermanentError, Permits, RetryPolicy, Runtime, TransientError
from agentd.telemetry import Pulse

E = TypeVar("E")

_BEAT_S = 5.0
_CALL_S = 15.0  # above the time-outs of the calls that one batch takes
_CUT_S = 5.0  # a call that has not ended so long after it was cut never will


@dataclass(slots=True)
class _Waiting(Generic[E]):
    entry: E
    result: asyncio.Future[EntryResult]


class Batcher(Generic[E]):
    """Collects entries into batches and carries them out, several at once.

    `carry` does one batch and answers entry by entry; one that hangs is cut, and counts as failed. The sum of a batch's
    bytes is the queue adapter's business.
    """

    def __init__(
        self,
        carry: Callable[[Sequence[E]], Awaitable[Sequence[EntryResult]]],
        *,
        name: str,
        runtime: Runtime,
        pulse: Pulse,
        max_batch: int,
        linger_s: float,
        in_flight: int,
        capacity: int,
        retry: RetryPolicy,
    ) -> None:
        self._carry = carry
        self._name = name
        self._runtime = runtime
        self._pulse = pulse
        self._max_batch = max_batch
        self._linger_s = linger_s
        self._in_flight = Permits(in_flight, runtime=runtime)
        self._entries: asyncio.Queue[_Waiting[E]] = asyncio.Queue(capacity)
        self._retry = retry

    async def submit(self, entry: E, *, within_s: float | None = None) -> EntryResult:
        """What became of the entry. A passing failure is tried again, with backoff, until `within_s` (None: for ever).

        Answers `EntryFailed` when the time is over; the entry may still be carried out then if it was on its way.
        """
        deadline = None if within_s is None else self._runtime.monotonic() + within_s
        attempt = 1
        while True:
            result = await self._once(entry, deadline)
            if not isinstance(result, EntryFailed):
                return result
            pause = max(result.retry_after_s or 0.0, self._runtime.full_jitter(self._retry.ceiling_s(attempt)))
            if deadline is not None and self._runtime.monotonic() + pause >= deadline:
                return result
            await self._runtime.sleep(pause)
            attempt += 1

    async def run(self) -> None:
        """Carry batches out until cancelled; then whoever still waits is told that it failed."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._pulse.beat("waiting for batches in flight", within_s=_CALL_S)
                    async with self._in_flight.hold() as permit:
                        batch = await self._collect()
                        task = self._runtime.spawn(group, self._carry_out(batch), f"batch-{self._name}")
                        self._in_flight.hand_over(permit, task, longest_s=_CALL_S + _CUT_S)
                        task.add_done_callback(partial(_stopped, batch))
        finally:
            while not self._entries.empty():
                _answer(self._entries.get_nowait(), EntryFailed("the agent stops"))

    def check(self) -> str | None:
        """What is wrong with the batches in flight, or None."""
        return self._in_flight.check()

    async def _once(self, entry: E, deadline: float | None) -> EntryResult:
        waiting = _Waiting(entry, asyncio.get_running_loop().create_future())
        try:
            with Deadline(None if deadline is None else deadline - self._runtime.monotonic()):
                await self._entries.put(waiting)
                return await waiting.result
        except TimeoutError:
            return EntryFailed("no answer in time")
        finally:
            waiting.result.cancel()

    async def _collect(self) -> list[_Waiting[E]]:
        batch = [await self._first()]
        try:
            async with asyncio.timeout(self._linger_s):
                while len(batch) < self._max_batch:
                    batch.append(await self._entries.get())
        except TimeoutError:
            pass
        except BaseException:
            _answer_all(batch, EntryFailed("the agent stops"))
            raise
        return batch

    async def _first(self) -> _Waiting[E]:
        while True:
            self._pulse.beat("waiting for entries", within_s=_BEAT_S)
            try:
                async with asyncio.timeout(_BEAT_S):
                    return await self._entries.get()
            except TimeoutError:
                continue

    async def _carry_out(self, batch: list[_Waiting[E]]) -> None:
        # Who has given up meanwhile has cancelled its future.
        wanted = [waiting for waiting in batch if not waiting.result.done()]
        if wanted:
            for waiting, result in zip(wanted, await self._results(wanted), strict=True):
                _answer(waiting, result)

    async def _results(self, batch: Sequence[_Waiting[E]]) -> Sequence[EntryResult]:
        try:
            async with asyncio.timeout(_CALL_S):
                results = await self._carry([waiting.entry for waiting in batch])
        except TimeoutError:
            return [EntryFailed(f"no answer in {_CALL_S:g} s")] * len(batch)
        except TransientError as error:
            return [EntryFailed(error.message, error.retry_after)] * len(batch)
        except PermanentError as error:
            return [EntryRefused(error.message)] * len(batch)
        self._pulse.succeeded()
        return results


def _stopped(batch: Sequence[_Waiting[E]], _done: asyncio.Task[None]) -> None:
    _answer_all(batch, EntryFailed("the agent stops"))


def _answer(waiting: _Waiting[E], result: EntryResult) -> None:
    if not waiting.result.done():
        waiting.result.set_result(result)


def _answer_all(batch: Sequence[_Waiting[E]], result: EntryResult) -> None:
    for waiting in batch:
        _answer(waiting, result)
