"""Looking at dead letters and sending them back."""

import pytest

from agentd.bus import DeadLetters, Done
from agentd.bus.letters import dead_letter
from agentd.core import DeadLetter, Delete, Delivery, Disposition, OutcomeKind, Reason
from tests.unit.bus.rig import Rig, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(params=["standard", "fifo"])
def either_rig(request: pytest.FixtureRequest, rig: Rig, fifo_rig: Rig) -> Rig:
    """Both kinds of queues."""
    return rig if request.param == "standard" else fifo_rig


async def _dead(rig: Rig, *bodies: str) -> DeadLetters:
    for body in bodies:
        delivery = Delivery(f"id-{body}", body, 0.0, "commands", group=body, attributes={"colour": "green"})
        end = DeadLetter(f"event/{body}", 2, OutcomeKind.REJECTED, Reason.POLICY_REFUSED, f"no {body}")
        letter = dead_letter(delivery, end, now=0.0, limits=rig.dead_letters.limits)
        assert list(await rig.dead_letters.send([letter])) == [Done()]
    return DeadLetters(rig.dead_letters, rig.commands, rig.runtime)


async def test_list_says_why_and_takes_nothing(either_rig: Rig) -> None:
    letters = await _dead(either_rig, *"abc")
    await either_rig.send_to(either_rig.dead_letters, "moved by the queue")
    entries = {entry.body: entry for entry in await letters.list(100)}
    assert set(entries) == {"a", "b", "c", "moved by the queue"}
    entry = entries["a"]
    assert (entry.key, entry.epoch, entry.outcome, entry.reason) == ("event/a", 2, "rejected", "policy_refused")
    assert (entry.message, entry.attributes) == ("no a", {"colour": "green"})
    assert entry.dead_lettered_at is not None
    assert entry.original_message_id == "id-a"
    assert (entries["moved by the queue"].key, entries["moved by the queue"].epoch) == (None, None)
    assert len(await letters.list(2)) == 2  # they show again at once


async def test_show_finds_one_by_any_of_its_names(rig: Rig) -> None:
    letters = await _dead(rig, "a", "b")
    found = await letters.show("event/b")
    assert found is not None
    for name in (found.message_id, "id-b", "b"):
        again = await letters.show(name)
        assert again is not None
        assert again.message_id == found.message_id
    assert await letters.show("event/c") is None
    assert await letters.show("") is None


async def test_redrive_sends_back_what_is_selected_with_its_epoch(either_rig: Rig) -> None:
    rig = either_rig
    letters = await _dead(rig, *"abcd")
    result = await letters.redrive(lambda entry: entry.body in "abc", rate_per_s=1000, limit=2)
    assert len(result.redriven) == 2
    assert result.failed == ()
    rest = await letters.redrive(lambda entry: entry.body in "abc", rate_per_s=1000, limit=10)
    assert len(rest.redriven) == 1
    assert rest.looked_at == 2
    assert [entry.body for entry in await letters.list(10)] == ["d"]
    back: list[Delivery] = []

    async def handle(delivery: Delivery) -> Disposition:
        back.append(delivery)
        return Delete()

    async with rig.consuming(handle):
        await until(lambda: len(back) == 3)
    assert {delivery.body for delivery in back} == {"a", "b", "c"}
    assert {delivery.dead_letter_epoch for delivery in back} == {2}
    assert {delivery.attributes["colour"] for delivery in back} == {"green"}


@pytest.mark.slow
async def test_redrive_of_what_the_queue_refuses_says_so_and_leaves_the_letter(rig: Rig) -> None:
    letters = await _dead(rig, "a")
    await rig.admin.client.set_queue_attributes(QueueUrl=rig.commands.url, Attributes={"MaximumMessageSize": "1024"})
    await rig.commands.close()
    await rig.commands.open()
    await rig.send_to(rig.dead_letters, "x" * 2000)
    result = await letters.redrive(lambda entry: entry.key is None, rate_per_s=1000, limit=10)
    assert result.redriven == ()
    ((_, why),) = result.failed
    assert "allowed are 1024" in why
    assert len(await letters.list(10)) == 2
