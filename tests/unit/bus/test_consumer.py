"""What becomes of messages, on a real server."""

import asyncio
import gc
from collections import Counter

import pytest

from agentd.bus.table import Row
from agentd.core import DeadLetter, Defer, Delete, Delivery, Disposition, OutcomeKind, Phase, Reason, Retry
from agentd.embedded import FaultKind
from tests.unit.bus.rig import FAST, Rig, delete, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

END = DeadLetter("event/1", 3, OutcomeKind.FAILED, Reason.NAME_TAKEN, "the name\x00 is taken: " + "x" * 300)


async def test_hundred_messages_never_hold_more_than_the_slots(rig: Rig) -> None:
    held = most = 0
    handled: Counter[str] = Counter()

    async def handle(delivery: Delivery) -> Disposition:
        nonlocal held, most
        held += 1
        most = max(most, held)
        delivery.enter(Phase.RUNNING)
        await asyncio.sleep(0)
        assert rig.health.ailments() == ()
        handled[delivery.body] += 1
        held -= 1
        return Delete()

    for ten in range(10):
        await rig.send(*(f"{ten}{one}" for one in range(10)))
    async with rig.consuming(handle, config=FAST.model_copy(update={"slots": 7})):
        await until(lambda: rig.metric("acks_total", disposition="delete", result="done") == 100)
    assert (len(handled), handled.total()) == (100, 100)
    assert 1 < most <= 7
    assert await rig.is_empty(rig.commands)
    assert rig.metric("events_received_total", queue="commands") == 100
    assert rig.metric("event_queue_age_seconds_count", queue="commands") == 100
    assert [rig.metric("events_in_flight", state=phase) for phase in Phase] == [0, 0, 0, 0]


async def test_delivery_says_what_the_message_is(rig: Rig) -> None:
    seen: list[Delivery] = []

    async def handle(delivery: Delivery) -> Disposition:
        seen.append(delivery)
        return Delete()

    await rig.send("hello", colour="green")
    async with rig.consuming(handle):
        await until(lambda: seen)
    (delivery,) = seen
    assert (delivery.body, delivery.attributes, delivery.queue) == ("hello", {"colour": "green"}, "commands")
    assert (delivery.receive_count, delivery.dead_letter_epoch, delivery.group) == (1, None, None)
    assert delivery.sent_at is not None
    assert delivery.retained_until == delivery.sent_at + rig.commands.limits.retention_s


async def test_duplicate_in_progress_starts_no_second_handler(rig: Rig) -> None:
    release = asyncio.Event()
    handled = 0

    async def handle(delivery: Delivery) -> Disposition:
        nonlocal handled
        handled += 1
        delivery.enter(Phase.RUNNING)
        await release.wait()
        return Delete()

    await rig.send("twice")
    async with rig.consuming(handle) as running:
        await until(lambda: handled)
        (row,) = running.consumer.table.rows()
        old = row.receipt
        await rig.commands.change_visibility([(old, 0)])
        await until(lambda: row.receipt != old)
        release.set()
        await until(lambda: rig.metric("acks_total", disposition="delete", result="done"))
    assert handled == 1
    assert row.delivery.receive_count == 2
    assert await rig.is_empty(rig.commands)


@pytest.mark.parametrize("failing", [Retry(0), Defer(0), ValueError("a defect"), asyncio.CancelledError()])
async def test_nothing_that_failed_comes_back_at_once(rig: Rig, failing: Disposition | BaseException) -> None:
    times: list[float] = []

    async def handle(delivery: Delivery) -> Disposition:
        times.append(rig.runtime.monotonic())
        if delivery.receive_count > 1:
            return Delete()
        if isinstance(failing, BaseException):
            raise failing
        return failing

    await rig.send("hot")
    async with rig.consuming(handle, config=FAST.model_copy(update={"retry_base_s": 0.001})):
        await until(lambda: rig.metric("acks_total", disposition="delete", result="done"))
    first, second = times
    assert second - first >= 0.9  # the server counts whole seconds on its own clock


async def test_dead_letter_says_why_and_keeps_what_fits(rig: Rig) -> None:
    async def handle(_delivery: Delivery) -> Disposition:
        return END

    own = {f"own-{n}": str(n) for n in range(5)}
    await rig.send("bad", **own)
    async with rig.consuming(handle):
        await until(lambda: rig.metric("acks_total", disposition="dead_letter", result="done"))
    assert await rig.is_empty(rig.commands)
    (letter,) = await rig.taken(rig.dead_letters)
    attributes = dict(letter.attributes)
    assert letter.body == "bad"
    assert attributes.pop("agentd-dead-lettered-at").endswith("+00:00")
    assert attributes.pop("agentd-message-id")
    assert attributes == {
        "agentd-key": "event/1",
        "agentd-epoch": "3",
        "agentd-outcome": "failed",
        "agentd-reason": "name_taken",
        "agentd-message": END.message.replace("\x00", "\ufffd")[:256],
        "own-0": "0",
        "own-1": "1",
        "own-2": "2",
    }


async def test_dead_letter_that_is_refused_stays_on_the_queue(rig: Rig) -> None:
    async def handle(_delivery: Delivery) -> Disposition:
        return END

    small = rig.dead_letters
    await rig.admin.client.set_queue_attributes(QueueUrl=small.url, Attributes={"MaximumMessageSize": "1024"})
    await small.close()
    await small.open()
    await rig.send("x" * 1024)
    async with rig.consuming(handle):
        await until(lambda: rig.metric("acks_total", disposition="dead_letter", result="refused"))
    assert (await rig.commands.depth()).in_flight == 1
    assert await rig.is_empty(small)


async def test_failed_delete_is_tried_again(rig: Rig) -> None:
    await rig.fault("DeleteMessageBatch", times=2)
    await rig.fault("DeleteMessageBatch", kind=FaultKind.DROP_BEFORE)
    await rig.send("stubborn")

    async def handle(_delivery: Delivery) -> Disposition:
        return Delete()

    async with rig.consuming(handle):
        await until(lambda: rig.metric("acks_total", disposition="delete", result="done"))
    assert await rig.is_empty(rig.commands)


async def test_delete_with_a_lost_receipt_is_no_success(rig: Rig) -> None:
    async def handle(delivery: Delivery) -> Disposition:
        delivery.enter(Phase.RUNNING)
        rig.intake.pause("operator")
        (row,) = running.consumer.table.rows()
        await rig.commands.change_visibility([(row.receipt, 0)])
        await rig.taken(rig.commands)
        return Delete()

    await rig.send("stolen")
    # One poll at a time, which has brought this message: nothing but the thief receives after the pause.
    async with rig.consuming(handle, config=FAST.model_copy(update={"receivers_max": 1, "slots": 1})) as running:
        await until(lambda: rig.metric("acks_total", disposition="delete", result="lost"))
    assert (await rig.commands.depth()).in_flight == 1


async def test_paused_intake_receives_nothing(rig: Rig) -> None:
    rig.intake.pause("outbox_full")
    rig.intake.pause("operator")
    rig.intake.resume("outbox_full")
    await rig.send("later")

    async def handle(_delivery: Delivery) -> Disposition:
        return Delete()

    async with rig.consuming(handle, config=FAST.model_copy(update={"depth_interval_s": 0.05})):
        await until(lambda: rig.metric("queue_depth", queue="commands") == 1)
        assert rig.metric("intake_paused", why="operator") == 1
        assert rig.metric("intake_paused", why="outbox_full") == 0
        assert rig.metric("events_received_total", queue="commands") == 0
        rig.intake.resume("operator")
        await until(lambda: rig.metric("acks_total", disposition="delete", result="done"))
        await until(lambda: rig.metric("queue_depth", queue="commands") == 0)


async def test_failed_receives_are_tried_again(rig: Rig) -> None:
    await rig.fault("ReceiveMessage", times=2)
    await rig.fault("ReceiveMessage", status=403, code="AccessDenied")
    await rig.send("patience")

    async def handle(_delivery: Delivery) -> Disposition:
        return Delete()

    async with rig.consuming(handle):
        await until(lambda: rig.metric("acks_total", disposition="delete", result="done"))
    assert rig.metric("receives_total", queue="commands", result="failed") == 3


async def test_receivers_grow_with_the_load_and_shrink_without(rig: Rig) -> None:
    release = asyncio.Event()

    async def handle(_delivery: Delivery) -> Disposition:
        await release.wait()
        return Delete()

    for ten in range(6):
        await rig.send(*(f"{ten}{one}" for one in range(10)))
    async with rig.consuming(handle, config=FAST.model_copy(update={"receivers_max": 3})):
        await until(lambda: rig.metric("receivers", queue="commands") == 3)
        release.set()
        await until(lambda: rig.metric("acks_total", disposition="delete", result="done") == 60)
        await until(lambda: rig.metric("receivers", queue="commands") == 1)
        await rig.send("still there")
        await until(lambda: rig.metric("acks_total", disposition="delete", result="done") == 61)
    assert rig.metric("receives_total", queue="commands", result="full") >= 2


async def test_a_flood_that_is_only_given_back_is_received_by_the_least(rig: Rig) -> None:
    most = 0.0

    async def handle(delivery: Delivery) -> Disposition:
        nonlocal most
        if delivery.receive_count == 1 and int(delivery.body) >= 150:
            most = max(most, rig.metric("receivers", queue="commands"))
        return Defer(2.0)

    for ten in range(20):
        await rig.send(*(f"{10 * ten + one}" for one in range(10)))
    async with rig.consuming(handle, config=FAST.model_copy(update={"receivers_min": 2, "receivers_max": 8})):
        await until(lambda: rig.metric("acks_total", disposition="defer", result="done") >= 200)
    assert most == 2, "the first ones had brought more into being"


async def test_idle_consumer_costs_one_long_poll_after_the_other(rig: Rig) -> None:
    await rig.cloud.reset_calls()
    began_at = rig.runtime.monotonic()
    async with rig.consuming(_never, config=FAST):
        await until(lambda: rig.metric("receives_total", queue="commands", result="empty") == 2)
        assert rig.runtime.monotonic() - began_at >= 2 * FAST.wait_s * 0.95
        calls = await rig.cloud.calls()
    assert calls[("sqs", "ReceiveMessage")] <= 3
    assert set(calls) == {("sqs", "ReceiveMessage"), ("sqs", "GetQueueAttributes")}
    assert calls[("sqs", "GetQueueAttributes")] == 2  # the depth of either queue


async def _never(_delivery: Delivery) -> Disposition:
    raise AssertionError("there was no message")


async def test_messages_leave_no_cycles_to_the_garbage_collector(rig: Rig) -> None:
    gc.collect()
    gc.disable()
    try:
        for ten in range(3):
            await rig.send(*(f"{ten}{one}" for one in range(10)))
        async with rig.consuming(delete):
            await until(lambda: rig.metric("acks_total", disposition="delete", result="done") == 30)
        left = [found for found in gc.get_objects() if isinstance(found, Row)]
    finally:
        gc.enable()
    assert len(left) < 30, "held by what has ended, until the collector comes"
