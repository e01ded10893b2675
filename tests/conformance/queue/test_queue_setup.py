"""What a queue says of itself, its dead letters, and what goes wrong before a message is touched."""

import pytest

from agentd.bus import Queue, kind_of, name_of
from agentd.core import PermanentError, Reason, TransientError
from tests.conformance.queue.backends import Wanted
from tests.conformance.queue.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_limits_are_read_from_the_queue(rig: Rig) -> None:
    queue = await rig.queue(Wanted(max_message_bytes=2048, retention_s=3600, visibility_s=17))
    limits = queue.limits
    wanted = [2048, 3600, 17]
    if rig.backend.name == "azurite":
        # Nothing can be set there: the service has one size and one default, and how long is said with each message.
        wanted = [65_536, 14 * 86_400, 30]
    assert [limits.max_message_bytes, limits.retention_s, limits.visibility_s] == wanted
    assert limits.fifo is rig.fifo
    assert limits.max_receive_count is None


async def test_facts_say_how_it_is_set_up(rig: Rig) -> None:
    queue = await rig.queue(Wanted(visibility_s=17, max_receive_count=7))
    await rig.send(queue, rig.message())
    facts = await queue.facts()
    assert (facts.kind, facts.url, facts.fifo, facts.visible) == (kind_of(queue.url), queue.url, rig.fifo, 1)
    assert facts.visibility_s == queue.limits.visibility_s
    assert facts.max_receive_count == queue.limits.max_receive_count
    if facts.dead_letters is not None:
        assert queue.dead_letters_url is not None
        assert name_of(queue.dead_letters_url) == facts.dead_letters


async def test_dead_letter_queue_goes_with_it(rig: Rig) -> None:
    queue = await rig.queue(Wanted(max_receive_count=7))
    letters = await rig.letters_of(queue)
    assert letters.limits.fifo is rig.fifo
    await rig.send(letters, rig.message("there"))
    (found,) = await rig.receive(await rig.letters_of(queue))
    assert found.body == "there"


async def _received_and_shown(rig: Rig, queue: Queue, times: int) -> None:
    for _ in range(times):
        (message,) = await rig.receive(queue)
        await rig.shown(queue, message)


async def test_message_received_too_often_is_moved_if_the_queue_does_that(rig: Rig) -> None:
    queue = await rig.queue(Wanted(max_receive_count=2))
    letters = await rig.letters_of(queue)
    await rig.send(queue, rig.message("poison", kept="yes"))
    await _received_and_shown(rig, queue, 2)
    if queue.limits.max_receive_count is None:
        (message,) = await rig.receive(queue)
        assert message.receive_count == 3
        assert await rig.nothing_shows(letters)
    else:
        assert await rig.nothing_shows(queue)
        (moved,) = await rig.receive(letters)
        assert (moved.body, moved.attributes) == ("poison", {"kept": "yes"})
        assert await letters.delete([moved.receipt])


async def test_queue_is_made_only_when_that_is_asked_for(rig: Rig) -> None:
    url = rig.backend.missing()
    with pytest.raises(PermanentError, match=r".+ on queue commands: ") as caught:
        await rig.opened(url)
    assert caught.value.reason is Reason.INVALID_REQUEST
    if rig.backend.makes_queues:
        queue = await rig.opened(url, create=True)
        await rig.send(queue, rig.message("made"))
        assert [message.body for message in await rig.receive(await rig.opened(url, create=True))] == ["made"]
    else:
        with pytest.raises(PermanentError):
            await rig.opened(url, create=True)


async def test_missing_queue_is_a_permanent_error(rig: Rig) -> None:
    queue = await rig.queue()
    await rig.backend.drop(queue.url)
    request = r"\(request .+\)" if rig.backend.traced else ""
    with pytest.raises(PermanentError, match=f"{rig.backend.receives} on queue commands: .*{request}") as caught:
        await queue.receive(1, wait_s=0, visibility_s=1)
    assert caught.value.reason is Reason.INVALID_REQUEST
    for call in (
        queue.send([rig.message()]),
        queue.send([rig.message(), rig.message()]),
        queue.depth(),
        queue.facts(),
        rig.opened(queue.url),
    ):
        with pytest.raises(PermanentError, match=r".+ on queue commands: "):
            await call


async def test_server_that_does_not_answer_is_a_transient_error(rig: Rig) -> None:
    async with rig.backend.unreachable(rig.runtime) as queue:
        with pytest.raises(TransientError, match=r".+ on queue commands: ") as caught:
            await queue.open()
        assert caught.value.reason is Reason.UNAVAILABLE
        with pytest.raises(RuntimeError, match="not open"):
            _ = queue.limits


async def test_who_may_not_use_it_is_told_so(rig: Rig) -> None:
    async with rig.backend.forbidden(rig.runtime) as queue:
        with pytest.raises(PermanentError, match=r".+ on queue commands: ") as caught:
            await queue.open()
        assert caught.value.reason is Reason.ACCESS_DENIED
