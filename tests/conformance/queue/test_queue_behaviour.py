"""What the bus relies on, as the `Queue` protocol says it. One behaviour a test; `waivers.py` names what a server gets wrong."""

import asyncio
from dataclasses import replace

import pytest

from agentd.bus import Done, EntryRefused, QueueDepth, ReceiptLost
from agentd.core import PermanentError, Reason
from tests.conformance.queue.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")

_BELOW_WAIT_S = 15.0


async def test_message_arrives_as_it_was_sent(rig: Rig) -> None:
    queue = await rig.queue()
    sent = rig.message("line\nline\ttab \u00fc \u4e16 <&>", colour="grün", **{"dotted.name": "1"})
    before = rig.runtime.now()
    await rig.send(queue, sent)
    (received,) = await rig.receive(queue)
    assert (received.body, received.attributes) == (sent.body, sent.attributes)
    assert received.group == (sent.group if rig.fifo else None)
    assert received.receive_count == 1
    assert received.sent_at is not None
    assert abs(received.sent_at - before) < 5


async def test_characters_beyond_the_basic_plane_arrive(rig: Rig) -> None:
    queue = await rig.queue()
    (result,) = await queue.send([rig.message("\U0001f600")])
    assert result == Done()
    assert [message.body for message in await rig.receive(queue)] == ["\U0001f600"]


async def test_limits_are_read_from_the_queue(rig: Rig) -> None:
    queue = await rig.queue({"MaximumMessageSize": "2048", "MessageRetentionPeriod": "3600", "VisibilityTimeout": "17"})
    limits = queue.limits
    assert (limits.max_message_bytes, limits.retention_s, limits.visibility_s) == (2048, 3600, 17)
    assert limits.fifo is rig.fifo
    assert limits.max_receive_count is None
    assert queue.dead_letter_queue() is None


async def test_redrive_policy_names_the_dead_letter_queue(rig: Rig) -> None:
    pair = await rig.admin.pair(fifo=rig.fifo, max_receive_count=7)
    queue = await rig.opened(pair.commands)
    assert queue.limits.max_receive_count == 7
    dead_letters = queue.dead_letter_queue()
    assert dead_letters is not None
    await rig.send(await rig.opened(pair.dead_letters), rig.message("there"))
    (found,) = await rig.receive(await rig.opened(dead_letters.url, name="dead-letters"))
    assert found.body == "there"


async def test_empty_queue_hands_out_nothing(rig: Rig) -> None:
    assert await (await rig.queue()).receive(10, wait_s=0, visibility_s=30) == []


async def test_long_poll_wakes_when_a_message_comes(rig: Rig) -> None:
    queue = await rig.queue()
    async with asyncio.timeout(_BELOW_WAIT_S), asyncio.TaskGroup() as group:
        poll = group.create_task(queue.receive(10, wait_s=20, visibility_s=30))
        other = await rig.opened(queue.url)
        await rig.send(other, rig.message("wake"))
    assert [message.body for message in poll.result()] == ["wake"]


async def test_deleted_message_is_gone(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (message,) = await rig.receive(queue)
    assert await queue.delete([message.receipt]) == [Done()]
    assert await queue.depth() == QueueDepth(visible=0, in_flight=0, delayed=0)


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
    assert await queue.change_visibility([(first.receipt, 0)]) == [Done()]
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
    assert await queue.change_visibility([(message.receipt, 30)]) == [Done()]
    assert await rig.nothing_shows(queue, wait_s=2)


async def test_fraction_of_a_second_hides_for_a_whole_one(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (message,) = await rig.receive(queue)
    assert await queue.change_visibility([(message.receipt, 0.2)]) == [Done()]
    assert await rig.nothing_shows(queue)
    assert await rig.receive(queue)


async def test_old_receipt_extends_nothing(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (first,) = await rig.receive(queue)
    await queue.change_visibility([(first.receipt, 0)])
    await rig.receive(queue)
    (result,) = await queue.change_visibility([(first.receipt, 60)])
    assert isinstance(result, ReceiptLost)


async def test_old_receipt_deletes_nothing(rig: Rig) -> None:
    # A standard queue may say that it has deleted; that is why the lease ticker, not the delete, is what tells of a loss.
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (first,) = await rig.receive(queue)
    await queue.change_visibility([(first.receipt, 0)])
    (second,) = await rig.receive(queue)
    (result,) = await queue.delete([first.receipt])
    assert isinstance(result, (ReceiptLost,) if rig.fifo else (Done, ReceiptLost))
    await queue.change_visibility([(second.receipt, 0)])
    assert [message.message_id for message in await queue.receive(1, wait_s=1, visibility_s=1)] == [first.message_id]


async def test_receipt_of_a_deleted_message_is_lost(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (message,) = await rig.receive(queue)
    await queue.delete([message.receipt])
    (result,) = await queue.change_visibility([(message.receipt, 60)])
    assert isinstance(result, ReceiptLost)


async def test_message_at_the_limit_is_taken_and_one_above_refused(rig: Rig) -> None:
    queue = await rig.queue({"MaximumMessageSize": "2048"})
    most = replace(rig.message(name="value"), body="x" * (2048 - len("nameStringvalue")))
    above = replace(rig.message(name="value"), body=most.body + "x")
    results = await queue.send([rig.message("fine"), most, above])
    assert [type(result) for result in results] == [Done, Done, EntryRefused]


async def test_server_counts_a_size_as_we_do(rig: Rig) -> None:
    queue = await rig.queue({"MaximumMessageSize": "2048"})
    wide = await rig.opened(queue.url)
    wide._limits = replace(wide.limits, max_message_bytes=1_000_000)  # so that the server is the one to refuse
    above = replace(rig.message(name="value"), body="x" * (2049 - len("nameStringvalue")))
    (result,) = await wide.send([above])
    assert isinstance(result, EntryRefused)


async def test_batch_above_the_limit_is_split(rig: Rig) -> None:
    queue = await rig.queue()
    assert queue.limits.max_message_bytes == 1_048_576
    bodies = [str(n) * 300_000 for n in range(5)]
    await rig.send(queue, *(rig.message(body, group="one") for body in bodies))
    assert (await queue.depth()).visible == len(bodies)


@pytest.mark.parametrize("bad", ["\x00", "\x0b", "\x1f", "\ufffe", "\ud800"])
async def test_characters_outside_of_xml_are_refused(rig: Rig, bad: str) -> None:
    queue = await rig.queue()
    results = await queue.send([rig.message(f"a{bad}b"), rig.message("a", name=f"a{bad}b"), rig.message("good")])
    assert [type(result) for result in results] == [EntryRefused, EntryRefused, Done]


async def test_what_no_queue_takes_is_refused_alone(rig: Rig) -> None:
    queue = await rig.queue()
    eleven = {f"name-{n}": "value" for n in range(11)}
    results = await queue.send(
        [rig.message(""), rig.message("a", **eleven), rig.message("a", name=""), rig.message("good")]
    )
    assert [type(result) for result in results] == [EntryRefused, EntryRefused, EntryRefused, Done]


async def test_ten_attributes_arrive(rig: Rig) -> None:
    queue = await rig.queue()
    ten = {f"name-{n}": "value" for n in range(10)}
    await rig.send(queue, rig.message("a", **ten))
    (message,) = await rig.receive(queue)
    assert message.attributes == ten


@pytest.mark.parametrize("entries", [0, 11])
async def test_batch_of_the_wrong_size_is_an_error(rig: Rig, entries: int) -> None:
    queue = await rig.queue()
    with pytest.raises(ValueError, match="1 to 10"):
        await queue.delete(["receipt"] * entries)
    with pytest.raises(ValueError, match="1 to 10"):
        await queue.change_visibility([("receipt", 0)] * entries)
    with pytest.raises(ValueError, match="1 to 10"):
        await queue.send([rig.message()] * entries)
    with pytest.raises(ValueError, match="1 to 10"):
        await queue.receive(entries, wait_s=0, visibility_s=1)


async def test_message_received_too_often_is_moved(rig: Rig) -> None:
    pair = await rig.admin.pair(fifo=rig.fifo, max_receive_count=2)
    queue = await rig.opened(pair.commands)
    await rig.send(queue, rig.message("poison", kept="yes"))
    for _ in range(2):
        (message,) = await rig.receive(queue)
        await queue.change_visibility([(message.receipt, 0)])
    assert await rig.nothing_shows(queue)
    (moved,) = await rig.receive(await rig.opened(pair.dead_letters, name="dead-letters"))
    assert (moved.body, moved.attributes) == ("poison", {"kept": "yes"})


async def test_delay_hides_a_new_message(rig: Rig) -> None:
    queue = await rig.queue()
    (result,) = await queue.send([replace(rig.message(), delay_s=1)])
    if rig.fifo:
        assert isinstance(result, EntryRefused)
    else:
        assert result == Done()
        assert await rig.nothing_shows(queue)
        assert await rig.receive(queue)


async def test_cancelled_poll_delays_a_message_but_does_not_lose_it(rig: Rig) -> None:
    queue = await rig.queue()
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(queue.receive(10, wait_s=5, visibility_s=1))
        other = await rig.opened(queue.url)  # meanwhile the poll is on its way
        poll.cancel()
        await rig.send(other, rig.message("survivor"))
    (message,) = await rig.receive(queue)
    assert message.body == "survivor"


async def test_depth_counts_what_shows_and_what_is_held(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message(), rig.message(), rig.message())
    await rig.receive(queue)
    assert await queue.depth() == QueueDepth(visible=2, in_flight=1, delayed=0)


async def test_missing_queue_is_a_permanent_error(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.admin.client.delete_queue(QueueUrl=queue.url)
    with pytest.raises(PermanentError, match=r"ReceiveMessage on queue commands: .*\(request .+\)") as caught:
        await queue.receive(1, wait_s=0, visibility_s=1)
    assert caught.value.reason is Reason.INVALID_REQUEST
    with pytest.raises(PermanentError, match="SendMessageBatch on queue commands"):
        await queue.send([rig.message()])
    with pytest.raises(PermanentError, match="GetQueueAttributes on queue commands"):
        await rig.opened(queue.url)
