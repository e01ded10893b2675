"""FIFO groups: in order within one, side by side between them."""

import asyncio
from collections import defaultdict

import pytest

from agentd.core import Delete, Delivery, Disposition, Phase, Retry
from agentd.embedded import FaultKind
from tests.unit.bus.rig import FAST, Rig, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Lanes:
    """A handler with one lane for each group, as the dispatcher has."""

    def __init__(self, *fails_once: str) -> None:
        self.locks: defaultdict[str | None, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.fails = set(fails_once)
        self.handed: list[str] = []
        self.began: list[str] = []
        self.done: list[str] = []
        self.gate = asyncio.Event()

    async def __call__(self, delivery: Delivery) -> Disposition:
        self.handed.append(delivery.body)
        async with self.locks[delivery.group]:
            delivery.enter(Phase.RUNNING)
            self.began.append(delivery.body)
            await self.gate.wait()
            if delivery.body in self.fails:
                self.fails.discard(delivery.body)
                return Retry(1)
            self.done.append(delivery.body)
            return Delete()


async def test_group_is_handed_over_in_order_and_groups_run_side_by_side(fifo_rig: Rig) -> None:
    lanes = Lanes()
    await fifo_rig.send("a1", "a2", "a3", group="a")
    await fifo_rig.send("b1", "b2", group="b")
    async with fifo_rig.consuming(lanes):
        await until(lambda: len(lanes.handed) == 5)
        assert sorted(lanes.began) == ["a1", "b1"]
        lanes.gate.set()
        await until(lambda: len(lanes.done) == 5)
        await until(lambda: fifo_rig.metric("acks_total", disposition="delete", result="done") == 5)
    assert [body for body in lanes.handed if body.startswith("a")] == ["a1", "a2", "a3"]
    assert [body for body in lanes.done if body.startswith("a")] == ["a1", "a2", "a3"]
    assert [body for body in lanes.done if body.startswith("b")] == ["b1", "b2"]
    assert await fifo_rig.is_empty(fifo_rig.commands)


async def test_retry_parks_what_follows_in_its_group_alone(fifo_rig: Rig) -> None:
    lanes = Lanes("a1")
    await fifo_rig.send("a1", "a2", "a3", group="a")
    await fifo_rig.send("b1", "b2", group="b")
    async with fifo_rig.consuming(lanes):
        await until(lambda: len(lanes.handed) == 5)
        lanes.gate.set()
        await until(lambda: len(lanes.done) == 5)
        await until(lambda: fifo_rig.metric("acks_total", disposition="delete", result="done") == 5)
    assert [body for body in lanes.done if body.startswith("a")] == ["a1", "a2", "a3"]
    assert [body for body in lanes.began if body.startswith("a")] == ["a1", "a1", "a2", "a3"]
    assert lanes.done[:2] == ["b1", "b2"]
    assert fifo_rig.metric("acks_total", disposition="retry", result="done") == 1
    assert fifo_rig.metric("acks_total", disposition="release", result="done") == 2


async def test_retry_parks_nothing_on_a_standard_queue(rig: Rig) -> None:
    lanes = Lanes("first")
    await rig.send("first", "second")
    lanes.gate.set()
    async with rig.consuming(lanes, config=FAST):
        await until(lambda: rig.metric("acks_total", disposition="delete", result="done") == 2)
    assert rig.metric("acks_total", disposition="release", result="done") == 0


async def test_lost_answer_of_a_receive_is_asked_for_again(fifo_rig: Rig) -> None:
    # Emulators forget attempt ids, so that the message itself comes only when its visibility ends; the id is what is proven.
    from random import Random

    from agentd.bus.sqs import SqsQueue
    from agentd.core import Runtime, TransientError
    from agentd.embedded import FaultKind

    runtime = Runtime(wall=fifo_rig.runtime.wall, random=Random(1))
    first, second = (Runtime(wall=runtime.wall, random=dice).new_id() for dice in [Random(1)] * 2)
    queue = SqsQueue(
        fifo_rig.commands.url,
        name="commands",
        aws=fifo_rig.commands._aws,
        runtime=runtime,
        session=fifo_rig.admin.session,
    )
    await queue.open()
    try:
        await fifo_rig.fault("ReceiveMessage", kind=FaultKind.DROP_AFTER)
        repeats = await fifo_rig.fault("ReceiveMessage", times=None, contains=first)
        afresh = await fifo_rig.fault("ReceiveMessage", times=None, contains=second)
        for _ in range(2):
            with pytest.raises(TransientError):
                await queue.receive(10, wait_s=0, visibility_s=2)
        assert await fifo_rig.cloud.hits(repeats) == 1  # the drop met it first, the second call had the same id
        with pytest.raises(TransientError):
            await queue.receive(10, wait_s=0, visibility_s=2)
        assert (await fifo_rig.cloud.hits(repeats), await fifo_rig.cloud.hits(afresh)) == (1, 1)
    finally:
        await queue.close()


async def test_what_is_received_again_before_it_is_known_to_be_back_is_not_overtaken(fifo_rig: Rig) -> None:
    lanes = Lanes("a1")
    lanes.gate.set()
    await fifo_rig.send("a1", group="a")
    await fifo_rig.fault("ChangeMessageVisibilityBatch", kind=FaultKind.DROP_AFTER)
    silent = await fifo_rig.fault("ChangeMessageVisibilityBatch", kind=FaultKind.DROP_BEFORE, times=None)
    async with fifo_rig.consuming(lanes):
        await until(lambda: "a1" in lanes.began)
        await fifo_rig.send("a2", group="a")
        await until(lambda: fifo_rig.metric("events_received_total", queue="commands") >= 3)
        await fifo_rig.cloud.clear(silent)
        await until(lambda: len(lanes.done) == 2)
        await until(lambda: fifo_rig.metric("acks_total", disposition="delete", result="done") == 2)
    assert lanes.done == ["a1", "a2"]
