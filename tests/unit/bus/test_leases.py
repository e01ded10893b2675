"""Leases: kept while they are needed, and never trusted when they are lost."""

import asyncio

import pytest

from agentd.core import Delete, Delivery, Disposition, Phase
from tests.unit.bus.rig import FAST, Rig, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHORT = FAST.model_copy(update={"visibility_s": 2.0})


class Stay:
    """A handler that stays until it is let go or cancelled."""

    def __init__(self) -> None:
        self.began = 0
        self.cancelled = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, delivery: Delivery) -> Disposition:
        self.began += 1
        delivery.enter(Phase.RUNNING)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Delete()


async def test_lease_is_kept_over_a_long_handler_and_a_failed_extension(rig: Rig) -> None:
    await rig.fault("ChangeMessageVisibilityBatch")
    await rig.send("long", "longer")
    stay = Stay()
    async with rig.consuming(stay, config=SHORT):
        await until(lambda: rig.metric("lease_extensions_total", result="extended") >= 4)
        stay.release.set()
        await until(lambda: rig.metric("acks_total", disposition="delete", result="done") == 2)
    assert rig.metric("lease_extensions_total", result="failed") == 2
    assert rig.metric("lease_extensions_total", result="lost") == 0
    assert (stay.began, stay.cancelled.is_set()) == (2, False)
    assert rig.metric("events_received_total", queue="commands") == 2


async def test_lost_lease_cancels_the_handler_and_deletes_nothing(rig: Rig) -> None:
    await rig.send("stolen")
    stay = Stay()
    config = SHORT.model_copy(update={"receivers_max": 1, "slots": 1})
    async with rig.consuming(stay, config=config) as running:
        await until(lambda: stay.began)
        rig.intake.pause("operator")
        (row,) = running.consumer.table.rows()
        await rig.commands.change_visibility([(row.receipt, 0)])
        await rig.taken(rig.commands)
        async with asyncio.timeout(5):
            await stay.cancelled.wait()
        await until(lambda: not len(running.consumer.table))
    assert rig.metric("lease_extensions_total", result="lost") == 1
    assert (await rig.commands.depth()).in_flight == 1


async def test_lease_that_runs_out_without_an_answer_is_lost_too(rig: Rig) -> None:
    fault = await rig.fault("ChangeMessageVisibilityBatch", times=None)
    await rig.send("cut off")
    stay = Stay()
    async with rig.consuming(stay, config=SHORT.model_copy(update={"receivers_max": 1, "slots": 1})) as running:
        await until(lambda: stay.began)
        rig.intake.pause("operator")
        async with asyncio.timeout(5):
            await stay.cancelled.wait()
        await until(lambda: not len(running.consumer.table))
    assert rig.metric("lease_extensions_total", result="lost") == 1
    assert rig.metric("lease_extensions_total", result="failed") >= 2
    assert await rig.cloud.hits(fault) >= 2
    (again,) = await rig.taken(rig.commands)
    assert again.receive_count == 2


@pytest.mark.slow
async def test_message_that_comes_back_while_its_lost_handler_ends_is_not_forgotten(rig: Rig) -> None:
    ended = asyncio.Event()
    handled = 0

    async def handle(delivery: Delivery) -> Disposition:
        nonlocal handled
        handled += 1
        if handled > 1:
            return Delete()
        delivery.enter(Phase.RUNNING)
        try:
            await asyncio.Event().wait()
        finally:
            await ended.wait()
        return Delete()

    await rig.send("boomerang")
    async with rig.consuming(handle, config=SHORT.model_copy(update={"receivers_max": 1})) as running:
        await until(lambda: handled)
        rig.intake.pause("operator")
        await until(lambda: rig.metric("receives_total", queue="commands", result="empty"))  # the open poll has ended
        (row,) = running.consumer.table.rows()
        await rig.commands.change_visibility([(row.receipt, 0)])
        await rig.commands.receive(10, wait_s=1, visibility_s=1)
        await until(lambda: rig.metric("lease_extensions_total", result="lost") == 1)
        rig.intake.resume("operator")
        await until(lambda: rig.metric("events_received_total", queue="commands") == 2)
        ended.set()
        await until(lambda: rig.metric("acks_total", disposition="delete", result="done"))
    assert handled == 2


async def test_delivery_is_given_up_before_the_queue_takes_it_away(rig: Rig) -> None:
    cap_s = rig.commands.limits.max_visibility_s
    await rig.send("endless")
    stay = Stay()
    # What a margin leaves of twelve hours is the time that a message is held: here one second.
    config = SHORT.model_copy(update={"lease_margin_s": cap_s - 1})
    async with rig.consuming(stay, config=config):
        async with asyncio.timeout(5):
            await stay.cancelled.wait()
        await until(lambda: rig.metric("lease_extensions_total", result="capped") >= 1)
    assert rig.metric("lease_extensions_total", result="extended") == 0
