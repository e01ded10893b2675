"""A part of a task that others may end: the rest of the task goes on."""

import asyncio

import pytest

from agentd.bus.cuts import Cut


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
