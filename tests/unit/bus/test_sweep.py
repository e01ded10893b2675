"""What the queue moved to the dead-letter queue by itself."""

import pytest

from agentd.bus import DeadLetters, Outgoing
from agentd.bus.letters import dead_letter
from agentd.core import DeadLetter, Delete, Delivery, Disposition, OutcomeKind, Reason, Retry
from tests.unit.bus.rig import FAST, Rig, delete, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SWEEPING = FAST.model_copy(update={"sweep_interval_s": 0.2, "dead_letter_visibility_s": 5.0})
END = DeadLetter("message/1", 1, OutcomeKind.FAILED, Reason.RECEIVE_LIMIT, "moved")


class Sweep:
    """Gives each body its disposition; an exception for what it does not know."""

    def __init__(self, **dispositions: Disposition) -> None:
        self.dispositions = dispositions
        self.seen: list[Delivery] = []

    async def __call__(self, delivery: Delivery) -> Disposition:
        self.seen.append(delivery)
        return self.dispositions[delivery.body]

    def bodies(self) -> set[str]:
        """What has been looked at."""
        return {delivery.body for delivery in self.seen}


async def test_untagged_is_tagged_deleted_or_left(rig: Rig) -> None:
    sweep = Sweep(tag=END, drop=Delete(), leave=Retry(5), **{"given up again": Delete()})
    await rig.send_to(rig.dead_letters, "tag", "drop", "leave", "defect", colour="green")
    await rig.send_to(rig.dead_letters, "tagged before", **{"agentd-epoch": "2", "agentd-key": "event/1"})
    await rig.send_to(rig.dead_letters, "given up again", **{"agentd-epoch": "2"})
    async with rig.consuming(delete, sweep=sweep, config=SWEEPING) as running:
        await until(lambda: len([one for one in sweep.seen if one.body == "leave"]) >= 2)
        await running.drained()
    assert sweep.bodies() == {"tag", "drop", "leave", "defect", "given up again"}
    assert {one.dead_letter_epoch for one in sweep.seen if one.body == "given up again"} == {2}
    assert {one.queue for one in sweep.seen} == {"dead-letters"}
    assert len([one for one in sweep.seen if one.body == "tag"]) == 1
    letters = {letter.body: letter.attributes for letter in await rig.taken(rig.dead_letters, 4)}
    assert set(letters) == {"tag", "leave", "defect", "tagged before"}
    assert letters["tag"]["agentd-key"] == "message/1"
    assert letters["tag"]["agentd-reason"] == "receive_limit"
    assert letters["tag"]["colour"] == letters["leave"]["colour"] == "green"
    assert "agentd-epoch" not in letters["leave"]
    assert letters["tagged before"] == {"agentd-epoch": "2", "agentd-key": "event/1"}


@pytest.mark.slow
async def test_sweep_goes_on_after_a_failed_call(rig: Rig) -> None:
    await rig.fault("ReceiveMessage", contains=rig.dead_letters.url.rsplit("/", 1)[1], times=2)
    sweep = Sweep(drop=Delete())
    await rig.send_to(rig.dead_letters, "drop")
    async with rig.consuming(delete, sweep=sweep, config=SWEEPING):
        await until(lambda: sweep.seen)
    assert await rig.is_empty(rig.dead_letters)


@pytest.mark.slow
async def test_sweep_looks_at_no_more_than_its_limit(rig: Rig) -> None:
    sweep = Sweep(**{str(n): Retry(5) for n in range(6)})
    await rig.send_to(rig.dead_letters, *(str(n) for n in range(6)))
    config = SWEEPING.model_copy(update={"sweep_limit": 4, "sweep_interval_s": 0.5})
    async with rig.consuming(delete, sweep=sweep, config=config) as running:
        await until(lambda: sweep.seen)
        await running.drained()
    assert len(sweep.seen) <= 4


async def test_no_number_of_letters_hides_what_the_queue_moved_of_their_group(fifo_rig: Rig) -> None:
    rig = fifo_rig
    for number in range(11):  # more than one receive brings
        dead = Delivery(f"id-{number}", str(number), 0.0, "commands", group="g")
        await rig.dead_letters.send([dead_letter(dead, END, now=0.0, limits=rig.dead_letters.limits)])
    await rig.dead_letters.send([Outgoing("moved", group="g", dedupe_id="moved")])
    sweep = Sweep(moved=END)
    async with rig.consuming(delete, sweep=sweep, config=SWEEPING) as running:
        await until(lambda: sweep.seen)
        await running.drained()
    (seen,) = sweep.seen
    assert seen.group == "g"
    letters = await DeadLetters(rig.dead_letters, rig.commands, rig.runtime).list(100)
    assert len(letters) == 12, "all are seen"
    assert {letter.group for letter in letters} == {"g"}, "the group that each had"
