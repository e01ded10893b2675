"""The end of a consumer, phase by phase."""

import asyncio

import pytest

from agentd.bus import DrainSummary
from agentd.core import Delete, Delivery, Disposition, Phase
from tests.unit.bus.rig import DEADLINE_S, FAST, POLL_S, Rig, delete, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Half:
    """A handler that runs what is called "run..." until it is let go, and leaves the rest buffered."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.release = asyncio.Event()

    async def __call__(self, delivery: Delivery) -> Disposition:
        self.held.add(delivery.body)
        if delivery.body.startswith("run"):
            delivery.enter(Phase.RUNNING)
        await self.release.wait()
        return Delete()


async def test_unbegun_is_given_back_before_the_running_has_ended(rig: Rig) -> None:
    half = Half()
    await rig.send("run", "wait")
    # No slot is left for another poll, which would take what is given back.
    async with rig.consuming(half, config=FAST.model_copy(update={"slots": 2})) as running:
        await until(lambda: half.held == {"run", "wait"})
        running.consumer.drain(10)
        running.consumer.drain(0)  # the first call counts
        (given_back,) = await rig.taken(rig.commands)
        assert given_back.body == "wait"
        assert running.consumer.table.counts()[Phase.RUNNING] == 1
        assert rig.intake.reasons == {"draining"}
        half.release.set()
        summary = await running.task
    assert summary == DrainSummary(finished=1, released=1)
    assert rig.metric("receivers", queue="commands") == 0


async def test_what_an_open_poll_brings_is_given_back(rig: Rig) -> None:
    await rig.cloud.reset_calls()
    async with rig.consuming(delete, config=FAST.model_copy(update={"wait_s": 5.0})) as running:
        await _poll_arrives(rig, 1)
        running.consumer.drain(0)
        await rig.send("late")
        assert await running.task == DrainSummary(released=1)
    (given_back,) = await rig.taken(rig.commands)
    assert (given_back.body, given_back.receive_count) == ("late", 2)


async def test_running_is_cancelled_and_given_back_when_the_grace_is_over(rig: Rig) -> None:
    half = Half()
    await rig.send("run")
    async with rig.consuming(half, config=FAST.model_copy(update={"slots": 1})) as running:
        await until(lambda: half.held)
        assert await running.drained(0.1) == DrainSummary(cancelled=1)
    (given_back,) = await rig.taken(rig.commands)
    assert given_back.body == "run"


async def test_leases_are_kept_while_the_running_finishes(rig: Rig) -> None:
    half = Half()
    await rig.send("run")
    async with rig.consuming(half, config=FAST.model_copy(update={"visibility_s": 2.0})) as running:
        await until(lambda: half.held)
        running.consumer.drain(10)
        await until(lambda: rig.metric("lease_extensions_total", result="extended"))
        half.release.set()
        assert await running.task == DrainSummary(finished=1)
    assert await rig.is_empty(rig.commands)


async def test_abort_waits_neither_for_grace_nor_for_open_polls(rig: Rig) -> None:
    half = Half()
    await rig.send("run")
    await rig.cloud.reset_calls()
    async with rig.consuming(half, config=FAST.model_copy(update={"wait_s": 20.0})) as running:
        await until(lambda: half.held)
        await _poll_arrives(rig, 2)
        running.consumer.drain(60)
        running.consumer.abort()
        running.consumer.abort()
        async with asyncio.timeout(5):
            assert await running.task == DrainSummary(cancelled=1)
    assert rig.metric("acks_total", disposition="release", result="done") == 1


async def test_drain_before_the_start_receives_nothing(rig: Rig) -> None:
    await rig.send("untouched")
    async with rig.consuming(delete) as running:
        assert await running.drained() == DrainSummary()
    (untouched,) = await rig.taken(rig.commands)
    assert untouched.receive_count == 1


async def test_drain_ends_a_pause_after_a_failed_receive(rig: Rig) -> None:
    await rig.fault("ReceiveMessage", times=None)
    config = FAST.model_copy(update={"receive_backoff_base_s": 60.0, "receive_backoff_cap_s": 300.0})
    async with rig.consuming(delete, config=config) as running:
        await until(lambda: rig.metric("receives_total", queue="commands", result="failed"))
        assert await running.drained() == DrainSummary()


async def test_drain_gives_up_on_what_cannot_be_given_back(rig: Rig) -> None:
    half = Half()
    await rig.fault("ChangeMessageVisibilityBatch", times=None)
    await rig.send("run")
    config = FAST.model_copy(update={"release_timeout_s": 0.5})
    async with rig.consuming(half, config=config) as running:
        await until(lambda: half.held)
        running.consumer.abort()
        async with asyncio.timeout(5):
            assert await running.task == DrainSummary(left=1)


async def test_cancelling_twice_leaves_the_books_balanced(rig: Rig) -> None:
    half = Half()
    await rig.send("run-1", "run-2", "wait-1", "wait-2")
    async with rig.consuming(half) as running:
        await until(lambda: len(half.held) == 4)
        running.task.cancel()
        await asyncio.sleep(0)
        running.task.cancel()
        await asyncio.wait({running.task})
        assert running.task.cancelled()
        assert len(running.consumer.table) == 0


async def _polls(rig: Rig) -> int:
    """Receives that have arrived at the server."""
    return (await rig.cloud.calls()).get(("sqs", "ReceiveMessage"), 0)


async def _poll_arrives(rig: Rig, number: int) -> None:
    """Wait until so many receives have arrived since the last reset."""
    async with asyncio.timeout(DEADLINE_S):
        while await _polls(rig) < number:
            await asyncio.sleep(POLL_S)
