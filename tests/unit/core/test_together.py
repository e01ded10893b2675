"""Several calls at a time: order, the error that counts, and deadlines around them."""

import asyncio

import pytest

from agentd.core import LeaseLost, Reason, TransientError, side_by_side
from tests.virtual_time import VirtualTimeLoop


async def _refused_after(seconds: float) -> None:
    await asyncio.sleep(seconds)
    raise TransientError(Reason.THROTTLED, "not now")


def test_results_are_in_the_order_of_the_items_and_so_many_are_at_work_at_once() -> None:
    at_work, most = 0, 0

    async def work(seconds: int) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(seconds)
        at_work -= 1
        return seconds

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(side_by_side([3, 1, 2], work, at_once=2)) == [3, 1, 2]
        assert runner.run(side_by_side([], work)) == []
    assert most == 2


def test_the_first_error_stops_the_rest_and_what_nobody_may_go_on_after_counts_more() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(100 if name == "slow" else 1)
        finally:
            ended.append(name)
        raise LeaseLost("over") if name == "lost" else TransientError(Reason.THROTTLED, "not now")

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner, pytest.raises(LeaseLost, match="over"):
        runner.run(side_by_side(["refused", "lost", "slow"], work))
    assert ended == ["refused", "lost", "slow"]


def test_a_deadline_around_it_still_ends_in_a_timeout_after_an_error_within() -> None:
    async def story() -> None:
        async with asyncio.timeout(60):
            with pytest.raises(TransientError):
                await side_by_side([1.0, 2.0], _refused_after)
            await asyncio.sleep(1000)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner, pytest.raises(TimeoutError):
        runner.run(story())
