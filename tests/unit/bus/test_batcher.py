"""Batches: company, answers one by one, second tries."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from agentd.bus import Batcher, Done, EntryFailed, EntryRefused, EntryResult, ReceiptLost
from agentd.core import PermanentError, Reason, RetryPolicy, TransientError, system_runtime
from agentd.telemetry import Health

RUNTIME = system_runtime()


class Server:
    """Takes batches; answers `script` one after the other, then Done to everything."""

    def __init__(self, *script: Sequence[EntryResult] | Exception) -> None:
        self.script = list(script)
        self.batches: list[list[int]] = []
        self.open = 0
        self.most_open = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def carry(self, entries: Sequence[int]) -> Sequence[EntryResult]:
        """One batch."""
        self.batches.append(list(entries))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await self.gate.wait()
        self.open -= 1
        answer = self.script.pop(0) if self.script else [Done()] * len(entries)
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def running(
    server: Server, *, linger_s: float = 0.02, in_flight: int = 2, capacity: int = 100
) -> AsyncIterator[Batcher[int]]:
    batcher = Batcher(
        server.carry,
        name="test",
        runtime=RUNTIME,
        pulse=Health(RUNTIME).pulse("batch", late_after_s=60),
        max_batch=10,
        linger_s=linger_s,
        in_flight=in_flight,
        capacity=capacity,
        retry=RetryPolicy(base_s=0.001, cap_s=0.01),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(batcher.run())
        yield batcher
        task.cancel()


async def test_entries_travel_together_in_order_ten_at_most() -> None:
    server = Server()
    async with running(server) as batcher:
        results = await asyncio.gather(*(batcher.submit(n) for n in range(25)))
    assert results == [Done()] * 25
    assert [len(batch) for batch in server.batches] == [10, 10, 5]
    assert [n for batch in server.batches for n in batch] == list(range(25))


async def test_lonely_entry_does_not_wait_for_ever() -> None:
    server = Server()
    async with running(server) as batcher, asyncio.timeout(5):
        assert await batcher.submit(1) == Done()


async def test_each_caller_gets_its_own_answer() -> None:
    lost, refused = ReceiptLost("lost"), EntryRefused("refused")
    server = Server([Done(), lost, refused])
    async with running(server) as batcher:
        assert await asyncio.gather(*(batcher.submit(n) for n in range(3))) == [Done(), lost, refused]
    assert len(server.batches) == 1


async def test_only_what_failed_is_tried_again() -> None:
    server = Server([Done(), EntryFailed("busy"), Done()], TransientError(Reason.UNAVAILABLE, "down"))
    async with running(server) as batcher:
        assert await asyncio.gather(*(batcher.submit(n) for n in range(3))) == [Done()] * 3
    assert server.batches == [[0, 1, 2], [1], [1]]


async def test_tries_end_with_the_time_given() -> None:
    server = Server(*[[EntryFailed("busy")]] * 10_000)
    async with running(server, linger_s=0) as batcher:
        assert isinstance(await batcher.submit(1, within_s=0.1), EntryFailed)
    assert len(server.batches) > 1


async def test_wait_asked_for_by_the_server_is_not_cut_short() -> None:
    server = Server([EntryFailed("busy", retry_after_s=3600)])
    async with running(server) as batcher:
        assert isinstance(await batcher.submit(1, within_s=5), EntryFailed)
    assert len(server.batches) == 1


async def test_call_that_can_never_work_refuses_its_entries() -> None:
    server = Server(PermanentError(Reason.ACCESS_DENIED, "denied"))
    async with running(server) as batcher:
        assert await batcher.submit(1) == EntryRefused("denied")


async def test_batches_in_flight_and_entries_waiting_are_bounded() -> None:
    server = Server()
    server.gate.clear()
    async with running(server, linger_s=0, in_flight=2, capacity=3) as batcher:
        callers = [asyncio.create_task(batcher.submit(n)) for n in range(50)]
        while server.open < 2:
            await asyncio.sleep(0)
        late = await batcher.submit(99, within_s=0.1)
        assert late == EntryFailed("no answer in time")
        assert server.most_open == 2
        server.gate.set()
        assert await asyncio.gather(*callers) == [Done()] * 50
    assert 99 not in {n for batch in server.batches for n in batch}


async def test_end_leaves_nobody_waiting() -> None:
    server = Server()
    server.gate.clear()
    async with running(server, linger_s=0, in_flight=1, capacity=20) as batcher:
        callers = [asyncio.create_task(batcher.submit(n, within_s=0.5)) for n in range(15)]
        while not server.open:
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        results = await asyncio.gather(*callers)
    assert {type(result) for result in results} == {EntryFailed}


async def test_cancelled_caller_is_forgotten() -> None:
    server = Server()
    server.gate.clear()
    async with running(server, linger_s=0, in_flight=1) as batcher:
        first = asyncio.create_task(batcher.submit(1))
        while not server.open:
            await asyncio.sleep(0)
        second = asyncio.create_task(batcher.submit(2))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        server.gate.set()
        assert await first == Done()
        assert await batcher.submit(3) == Done()
    assert server.batches == [[1], [3]]
