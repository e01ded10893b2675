"""A message that is held: hidden, extended, shown again, deleted, and never with a receipt that is no longer good."""

import asyncio

import pytest

from agentd.bus import Done, EntryRefused, Queue, ReceiptLost
from tests.conformance.queue.rig import DEADLINE_S, Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")

MANY = 60


async def test_deleted_message_is_gone(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (message,) = await rig.receive(queue)
    assert await queue.delete([message.receipt]) == [Done()]
    assert await queue.depth() == rig.depth(queue, visible=0, hidden=0)


async def test_deletes_answer_entry_by_entry(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message("a"), rig.message("b"))
    first, second = await rig.receive(queue, 2)
    results = await queue.delete([first.receipt, "made-up", second.receipt])
    assert [type(result) for result in results] == [Done, ReceiptLost, Done]


async def test_visibility_changes_answer_entry_by_entry(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message("a"), rig.message("b"))
    first, second = await rig.receive(queue, 2)
    results = await queue.change_visibility([(first.receipt, 60), ("made-up", 60), (second.receipt, 0)])
    assert [type(result) for result in results] == [Done, ReceiptLost, Done]
    (again,) = await rig.receive(queue)
    assert again.message_id == second.message_id


async def test_message_shown_at_once_counts_its_receives(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (first,) = await rig.receive(queue)
    assert await rig.nothing_shows(queue)
    await rig.shown(queue, first)
    (second,) = await rig.receive(queue)
    assert (second.message_id, second.receive_count) == (first.message_id, 2)


async def test_visibility_runs_out(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (first,) = await rig.receive(queue, visibility_s=1)
    (second,) = await rig.receive(queue)
    assert second.message_id == first.message_id
    assert second.receipt != first.receipt


async def test_extended_message_stays_hidden(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (message,) = await rig.receive(queue, visibility_s=1)
    (result,) = await queue.change_visibility([(message.receipt, 30)])
    assert isinstance(result, Done)
    assert await rig.nothing_shows(queue, wait_s=2)


async def test_newest_receipt_is_good_and_one_that_it_replaces_is_lost(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (message,) = await rig.receive(queue)
    receipts = [message.receipt]
    for _ in range(3):
        (result,) = await queue.change_visibility([(receipts[-1], 60)])
        assert isinstance(result, Done)
        receipts += [result.receipt] if result.receipt else []
    for old in receipts[:-1]:
        (shown,) = await queue.change_visibility([(old, 0)])
        (deleted,) = await queue.delete([old])
        assert (type(shown), type(deleted)) == (ReceiptLost, ReceiptLost)
    assert await queue.delete([receipts[-1]]) == [Done()]
    assert await queue.depth() == rig.depth(queue, visible=0, hidden=0)


async def test_fraction_of_a_second_hides_for_a_whole_one(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (message,) = await rig.receive(queue)
    (result,) = await queue.change_visibility([(message.receipt, 0.2)])
    assert isinstance(result, Done)
    assert await rig.nothing_shows(queue)
    assert await rig.receive(queue)


async def test_nothing_is_hidden_for_longer_than_the_limit(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (message,) = await rig.receive(queue)
    (result,) = await queue.change_visibility([(message.receipt, queue.limits.max_visibility_s + 1)])
    assert isinstance(result, EntryRefused)


async def test_old_receipt_extends_nothing(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (first,) = await rig.receive(queue)
    await rig.shown(queue, first)
    await rig.receive(queue)
    (result,) = await queue.change_visibility([(first.receipt, 60)])
    assert isinstance(result, ReceiptLost)


async def test_old_receipt_deletes_nothing(rig: Rig) -> None:
    # A standard queue may say that it has deleted; that is why the lease ticker, not the delete, is what tells of a loss.
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (first,) = await rig.receive(queue)
    await rig.shown(queue, first)
    (second,) = await rig.receive(queue)
    (result,) = await queue.delete([first.receipt])
    assert isinstance(result, (ReceiptLost,) if rig.fifo else (Done, ReceiptLost))
    await rig.shown(queue, second)
    assert [message.message_id for message in await queue.receive(1, wait_s=1, visibility_s=1)] == [first.message_id]


async def test_receipt_of_a_deleted_message_is_lost(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (message,) = await rig.receive(queue)
    await queue.delete([message.receipt])
    (result,) = await queue.change_visibility([(message.receipt, 60)])
    assert isinstance(result, ReceiptLost)


async def test_no_message_goes_to_two_who_receive_at_once(rig: Rig) -> None:
    queue = await rig.queue()
    size = queue.limits.max_batch
    for start in range(0, MANY, size):
        await rig.send(queue, *(rig.message(str(n)) for n in range(start, min(start + size, MANY))))
    consumers = [queue, await rig.opened(queue.url), await rig.opened(queue.url)]
    found: list[str] = []

    async def consume(consumer: Queue) -> None:
        while len(found) < MANY:
            found.extend(message.body for message in await consumer.receive(7, wait_s=1, visibility_s=60))

    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        for consumer in consumers:
            group.create_task(consume(consumer))
    assert sorted(found, key=int) == [str(n) for n in range(MANY)]


async def test_depth_counts_what_shows_and_what_is_held(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message(), rig.message(), rig.message())
    await rig.receive(queue)
    assert await queue.depth() == rig.depth(queue, visible=2, hidden=1)
