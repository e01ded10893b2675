"""A part of a task that others may end: the rest of the task goes on."""

import asyncio

import pytest

from agentd.core import Cut, Deadline
from tests.virtual_time import about


async def _part(cut: Cut, began: asyncio.Event, told: list[str], *, stubborn: bool = False) -> str:
    with cut:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("cancelled within")
            if not stubborn:
                raise
    await asyncio.sleep(0)
    told.append("went on")
    return "done"


@pytest.mark.parametrize("stubborn", [False, True])
async def test_ended_part_leaves_the_task_as_it_was(stubborn: bool) -> None:
    cut, began, told = Cut(), asyncio.Event(), list[str]()
    task = asyncio.create_task(_part(cut, began, told, stubborn=stubborn))
    await began.wait()
    cut.end()
    assert await task == "done"
    assert told == ["cancelled within", "went on"]
    assert task.cancelling() == 0


async def test_cancelled_task_ends_also_when_its_part_is_ended_too() -> None:
    cut, began, told = Cut(), asyncio.Event(), list[str]()
    task = asyncio.create_task(_part(cut, began, told))
    await began.wait()
    cut.end()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["cancelled within"]


async def test_other_errors_and_cancellations_pass() -> None:
    cut = Cut()
    with pytest.raises(ValueError, match="own"), cut:
        raise ValueError("own")
    began, told = asyncio.Event(), list[str]()
    task = asyncio.create_task(_part(cut, began, told))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["cancelled within"]


async def test_end_before_and_after_the_part_changes_nothing() -> None:
    cut = Cut()
    cut.end()
    with cut:
        await asyncio.sleep(0)
    cut.end()
    await asyncio.sleep(0)


async def test_part_does_not_end_itself() -> None:
    cut = Cut()
    with cut:
        cut.end()
        await asyncio.sleep(0)


@pytest.mark.parametrize("seconds", [0, 3])
async def test_a_deadline_ends_its_part_with_a_timeout(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError) as caught, Deadline(seconds) as deadline:
        await asyncio.sleep(10)
    assert loop.time() == about(seconds)
    assert deadline.ended
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_part_that_ends_in_time_is_left_alone_afterwards() -> None:
    with Deadline(3) as deadline:
        await asyncio.sleep(1)
    await asyncio.sleep(10)
    assert not deadline.ended


async def test_no_deadline_is_none() -> None:
    with Deadline(None) as deadline:
        await asyncio.sleep(1e6)
    assert not deadline.ended


async def test_a_timeout_of_the_part_itself_is_not_the_deadlines() -> None:
    with pytest.raises(TimeoutError), Deadline(3) as deadline:
        async with asyncio.timeout(1):
            await asyncio.sleep(10)
    assert not deadline.ended


async def test_a_deadline_may_be_brought_forward() -> None:
    deadline = Deadline(60)
    asyncio.get_running_loop().call_later(2, deadline.end)
    with pytest.raises(TimeoutError), deadline:
        await asyncio.sleep(100)
    assert asyncio.get_running_loop().time() == about(2)


async def test_of_two_deadlines_the_outer_one_is_told_of_its_own() -> None:
    with pytest.raises(TimeoutError), Deadline(1) as outer, Deadline(2) as inner:
        await asyncio.sleep(10)
    assert (outer.ended, inner.ended) == (True, False)


async def test_a_cancellation_that_comes_with_the_deadline_goes_on() -> None:
    async def work() -> None:
        with Deadline(1):
            await asyncio.sleep(10)

    loop = asyncio.get_running_loop()
    task = loop.create_task(work())
    loop.call_later(1, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
