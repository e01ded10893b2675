"""What a FIFO queue adds."""

from dataclasses import replace

import pytest

from agentd.bus import Done, EntryRefused
from tests.conformance.queue.backends import Wanted
from tests.conformance.queue.conftest import FIFO
from tests.conformance.queue.rig import Rig

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("place", FIFO, indirect=True, scope="session"),
]


async def test_group_comes_in_order(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, *(rig.message(str(n), group="one") for n in range(5)))
    bodies = []
    for _ in range(5):
        (message,) = await rig.receive(queue)
        bodies.append(message.body)
        await queue.delete([message.receipt])
    assert bodies == ["0", "1", "2", "3", "4"]


async def test_one_receive_brings_several_of_a_group(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, *(rig.message(str(n), group="one") for n in range(3)))
    received = await queue.receive(10, wait_s=1, visibility_s=30)
    assert [message.body for message in received] == ["0", "1", "2"]


async def test_group_with_a_held_message_hands_out_no_other(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message("a1", group="a"), rig.message("a2", group="a"), rig.message("b1", group="b"))
    (held,) = await rig.receive(queue)
    (other,) = await rig.receive(queue)
    assert (held.body, other.body) == ("a1", "b1")
    assert await rig.nothing_shows(queue)
    await queue.delete([held.receipt])
    (following,) = await rig.receive(queue)
    assert following.body == "a2"


async def test_message_shown_again_keeps_its_place(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message("first", group="a"), rig.message("second", group="a"))
    (first,) = await rig.receive(queue)
    await queue.change_visibility([(first.receipt, 0)])
    (again,) = await rig.receive(queue)
    assert again.body == "first"


async def test_duplicate_is_dropped_even_after_the_delete(rig: Rig) -> None:
    queue = await rig.queue()
    message = rig.message("once")
    await rig.send(queue, message)
    await rig.send(queue, message)
    (received,) = await rig.receive(queue)
    await queue.delete([received.receipt])
    await rig.send(queue, message)
    assert await rig.nothing_shows(queue)


async def test_message_without_group_or_dedupe_id_is_refused(rig: Rig) -> None:
    queue = await rig.queue()
    good = rig.message()
    results = await queue.send([replace(good, group=None), replace(good, dedupe_id=None), good])
    assert [type(result) for result in results] == [EntryRefused, EntryRefused, Done]


async def test_late_delete_is_an_error(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message())
    (message,) = await rig.receive(queue, visibility_s=1)
    (again,) = await rig.receive(queue)
    assert again.message_id == message.message_id
    (result,) = await queue.delete([message.receipt])
    assert not isinstance(result, Done)


async def test_two_of_a_group_stay_in_order_when_the_first_is_shown_again(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message("first", group="a"), rig.message("second", group="a"))
    both = await queue.receive(10, wait_s=1, visibility_s=30)
    assert [message.body for message in both] == ["first", "second"]
    await rig.shown(queue, both[0])
    assert await rig.nothing_shows(queue)
    await rig.shown(queue, both[1])
    assert [message.body for message in await queue.receive(10, wait_s=1, visibility_s=30)] == ["first", "second"]


async def test_poison_is_moved_with_its_group_and_the_next_one_goes_on(rig: Rig) -> None:
    queue = await rig.queue(Wanted(max_receive_count=1))
    await rig.send(queue, rig.message("poison", group="a"), rig.message("next", group="a"))
    (poison,) = await rig.receive(queue)
    await rig.shown(queue, poison)
    (following,) = await rig.receive(queue)
    (moved,) = await rig.receive(await rig.letters_of(queue))
    assert (following.body, moved.body, moved.group) == ("next", "poison", "a")
