"""Permits: each belongs to one task that is still at work."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agentd.core import Permits
from tests.virtual_time import VirtualTimeLoop, virtual_runtime


def scenario(work: Callable[[Permits], Coroutine[Any, Any, None]], *, most: int = 2) -> None:
    """Run it on a virtual clock."""

    async def run() -> None:
        await work(Permits(most, runtime=virtual_runtime()))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())


def test_no_more_than_there_are_are_held_and_who_waits_has_its_turn() -> None:
    async def work(permits: Permits) -> None:
        most = 0

        async def hold() -> None:
            nonlocal most
            async with permits.hold():
                most = max(most, permits.used)
                await asyncio.sleep(1)

        began_at = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(hold())
        assert (most, permits.used, permits.check()) == (2, 0, None)
        assert asyncio.get_running_loop().time() - began_at == 3

    scenario(work)


def test_a_permit_that_is_handed_over_goes_with_its_task_however_that_ends() -> None:
    async def work(permits: Permits) -> None:
        async with asyncio.TaskGroup() as group:
            async with permits.hold() as permit:
                task = group.create_task(asyncio.sleep(10))
                permits.hand_over(permit, task)
            assert permits.used == 1
            assert permits.check() is None
            task.cancel()
        assert permits.used == 0
        async with asyncio.timeout(1), permits.hold(), permits.hold():
            assert permits.used == 2

    scenario(work)


def test_a_permit_of_a_task_that_has_ended_is_a_leak() -> None:
    async def work(permits: Permits) -> None:
        kept: list[object] = []

        async def leak() -> None:
            holding = permits.hold()
            kept.append(holding)  # never left, as if somebody had forgotten it
            await holding.__aenter__()

        await asyncio.create_task(leak(), name="handle-m-1")
        assert permits.check() is None, "it may be given back at this very moment"
        assert permits.check() == "a permit is held by task handle-m-1, which has ended"
        assert permits.used == 1

    scenario(work)


def test_a_permit_that_is_held_for_too_long_is_named() -> None:
    async def work(permits: Permits) -> None:
        async def hold() -> None:
            async with permits.hold(longest_s=20):
                await asyncio.sleep(60)

        task = asyncio.create_task(hold(), name="batch-delete")
        await asyncio.sleep(20)
        assert permits.check() is None
        await asyncio.sleep(2)
        assert permits.check() == "task batch-delete has held a permit for 22 s (allowed: 20 s)"
        await task
        assert permits.check() is None

    scenario(work)


def test_who_gives_up_waiting_holds_nothing() -> None:
    async def work(permits: Permits) -> None:
        async with permits.hold():
            waiting = asyncio.create_task(permits.hold().__aenter__())
            await asyncio.sleep(1)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert (waiting.cancelled(), permits.used) == (True, 1)
        assert permits.used == 0

    scenario(work, most=1)
