"""A receive that waits, and the life of the adapter itself."""

import asyncio

import pytest

from tests.conformance.queue.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")

_BELOW_WAIT_S = 15.0
_AT_ONCE_S = 1.0


async def test_empty_queue_hands_out_nothing(rig: Rig) -> None:
    assert await (await rig.queue()).receive(10, wait_s=0, visibility_s=30) == []


async def test_wait_ends_when_its_time_is_over(rig: Rig) -> None:
    queue = await rig.queue()
    before = rig.runtime.monotonic()
    assert await queue.receive(10, wait_s=1, visibility_s=30) == []
    assert 0.9 < rig.runtime.monotonic() - before < 4


async def test_long_poll_wakes_when_a_message_comes(rig: Rig) -> None:
    queue = await rig.queue()
    other = await rig.opened(queue.url)
    async with asyncio.timeout(_BELOW_WAIT_S), asyncio.TaskGroup() as group:
        poll = group.create_task(queue.receive(10, wait_s=20, visibility_s=30))
        await rig.send(other, rig.message("wake"))
    assert [message.body for message in poll.result()] == ["wake"]


async def test_busy_queue_is_served_within_a_fraction_of_a_second(rig: Rig) -> None:
    queue = await rig.queue()
    other = await rig.opened(queue.url)
    slowest = 0.0
    for n in range(5):
        async with asyncio.timeout(_BELOW_WAIT_S), asyncio.TaskGroup() as group:
            poll = group.create_task(queue.receive(10, wait_s=20, visibility_s=30))
            await rig.send(other, rig.message(str(n)))
            sent_at = rig.runtime.monotonic()
            (message,) = await poll
        slowest = max(slowest, rig.runtime.monotonic() - sent_at)
        await queue.delete([message.receipt])
    assert slowest < _AT_ONCE_S


async def test_long_poll_wakes_when_a_hidden_message_shows(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message("hidden"))
    await rig.receive(queue, visibility_s=1)
    async with asyncio.timeout(_BELOW_WAIT_S):
        (message,) = await queue.receive(10, wait_s=20, visibility_s=30)
    assert message.body == "hidden"


async def test_cancelled_poll_delays_a_message_but_does_not_lose_it(rig: Rig) -> None:
    queue = await rig.queue()
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(queue.receive(10, wait_s=5, visibility_s=1))
        other = await rig.opened(queue.url)  # meanwhile the poll is on its way
        poll.cancel()
        await rig.send(other, rig.message("survivor"))
    (message,) = await rig.receive(queue)
    assert message.body == "survivor"


async def test_closed_queue_says_so_and_can_be_opened_again(rig: Rig) -> None:
    queue = await rig.queue()
    await queue.close()
    await queue.close()
    with pytest.raises(RuntimeError, match="not open"):
        await queue.receive(1, wait_s=0, visibility_s=1)
    with pytest.raises(RuntimeError, match="not open"):
        await queue.depth()
    await queue.open()
    await rig.send(queue, rig.message("after"))
    assert [message.body for message in await rig.receive(queue)] == ["after"]
