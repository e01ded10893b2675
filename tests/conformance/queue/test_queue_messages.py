"""What is sent arrives as it was, or is refused by itself."""

from dataclasses import replace

import pytest

from agentd.bus import Done, EntryRefused
from tests.conformance.queue.backends import Wanted
from tests.conformance.queue.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALL = Wanted(max_message_bytes=2048)


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


@pytest.mark.parametrize(
    "body",
    [
        " spaces around ",
        "\n",
        '{"plain": "CloudEvent"}',
        "eyJwbGFpbiI6ICJDbG91ZEV2ZW50In0=",
        'agentd-attributes: {"colour": "red"}\nbody',
        "agentd-packed: eJw=",
        "]]> &amp; &#13; <!-- -->",
        "\u007f\u0085\u2028\ufffd",
    ],
    ids=["spaces", "line end", "JSON", "base64 of JSON", "an envelope", "a package", "XML", "odd but allowed"],
)
async def test_text_arrives_whatever_it_looks_like(rig: Rig, body: str) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message(body), rig.message(body, note=body))
    received = await rig.receive(queue, 2)
    assert [message.body for message in received] == [body, body]
    assert sorted(tuple(message.attributes.items()) for message in received) == [(), (("note", body),)]


async def test_carriage_returns_arrive(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.send(queue, rig.message("a\r\nb\rc", note="d\r\ne"))
    (received,) = await rig.receive(queue)
    assert (received.body, received.attributes) == ("a\r\nb\rc", {"note": "d\r\ne"})


async def test_characters_beyond_the_basic_plane_arrive(rig: Rig) -> None:
    queue = await rig.queue()
    (result,) = await queue.send([rig.message("\U0001f600")])
    assert result == Done()
    assert [message.body for message in await rig.receive(queue)] == ["\U0001f600"]


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


async def test_message_at_the_limit_is_taken_and_one_above_refused(rig: Rig) -> None:
    queue = await rig.queue(SMALL)
    most = rig.filled(queue, rig.message(name="value"))
    above = rig.filled(queue, rig.message(name="value"), over=1)
    results = await queue.send([rig.message("fine"), most, above])
    assert [type(result) for result in results] == [Done, Done, EntryRefused]
    assert most.body in [message.body for message in await rig.receive(queue, 2)]


async def test_limit_counts_bytes_and_not_characters(rig: Rig) -> None:
    queue = await rig.queue(SMALL)
    most = "é" * 50 + rig.filled(queue, rig.message()).body[100:]
    results = await queue.send([rig.message(most), rig.message(f"{most}x")])
    assert [type(result) for result in results] == [Done, EntryRefused]
    (message,) = await rig.receive(queue)
    assert message.body == most


async def test_batch_that_is_larger_than_one_message_may_be_is_taken(rig: Rig) -> None:
    queue = await rig.queue()
    bodies = [str(n) * (queue.limits.max_message_bytes * 2 // 7) for n in range(5)]
    await rig.send(queue, *(rig.message(body, group="one") for body in bodies))
    assert await queue.depth() == rig.depth(queue, visible=len(bodies), hidden=0)


async def test_batch_of_the_wrong_size_is_an_error(rig: Rig) -> None:
    queue = await rig.queue()
    most = queue.limits.max_batch
    for entries in (0, most + 1):
        with pytest.raises(ValueError, match=f"1 to {most}"):
            await queue.delete(["receipt"] * entries)
        with pytest.raises(ValueError, match=f"1 to {most}"):
            await queue.change_visibility([("receipt", 0)] * entries)
        with pytest.raises(ValueError, match=f"1 to {most}"):
            await queue.send([rig.message()] * entries)
        with pytest.raises(ValueError, match=f"1 to {most}"):
            await queue.receive(entries, wait_s=0, visibility_s=1)


async def test_whole_batch_is_sent_received_and_deleted(rig: Rig) -> None:
    queue = await rig.queue()
    most = queue.limits.max_batch
    await rig.send(queue, *(rig.message(str(n)) for n in range(most)))
    received = await rig.receive(queue, most)
    assert {message.body for message in received} == {str(n) for n in range(most)}
    assert await queue.delete([message.receipt for message in received]) == [Done()] * most
    assert await queue.depth() == rig.depth(queue, visible=0, hidden=0)


async def test_delay_hides_a_new_message(rig: Rig) -> None:
    queue = await rig.queue()
    (late, never) = await queue.send(
        [replace(rig.message(), delay_s=1), replace(rig.message(), delay_s=queue.limits.max_delay_s + 1)]
    )
    assert isinstance(never, EntryRefused)
    if queue.limits.max_delay_s < 1:
        assert isinstance(late, EntryRefused)
    else:
        assert late == Done()
        assert await rig.nothing_shows(queue)
        assert await rig.receive(queue)


async def test_group_and_dedupe_id_mean_nothing_on_a_standard_queue(rig: Rig) -> None:
    queue = await rig.queue()
    if queue.limits.fifo:
        assert rig.fifo  # the FIFO suite says what they mean there
        return
    first = rig.message("first", group="one")
    await rig.send(queue, first, replace(first, body="second"))
    assert {message.body for message in await rig.receive(queue, 2)} == {"first", "second"}
