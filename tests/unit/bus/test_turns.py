"""Ends of a drain that only a turn of the loop decides."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentd.bus import (
    BusConfig,
    Consumer,
    Done,
    DrainSummary,
    EntryResult,
    Intake,
    Outgoing,
    QueueDepth,
    QueueFacts,
    QueueLimits,
    Received,
)
from agentd.core import Delete, Delivery, Disposition, Phase, Runtime
from agentd.telemetry import Health, Metrics
from tests.virtual_time import VirtualTimeLoop, virtual_runtime

_SAME_TURN_S = 5e-10  # below the resolution of the loop's clock
CONFIG = BusConfig(visibility_s=30, wait_s=5, receivers_min=2, receivers_max=2)

LIMITS = QueueLimits(
    max_message_bytes=1024,
    max_batch=10,
    max_wait_s=20,
    max_visibility_s=43_200,
    max_delay_s=900,
    fifo=False,
    retention_s=345_600,
    visibility_s=30,
    max_receive_count=None,
)


@dataclass(slots=True)
class Eager:
    """A queue of one message that answers an open poll before the call that has shown the message."""

    name: str
    held_by: str | None = None
    visible: bool = True
    receives: int = 0
    shown: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = "eager"
    dead_letters_url: str | None = None
    limits: QueueLimits = LIMITS

    async def open(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""

    async def receive(self, limit: int, *, wait_s: float, visibility_s: float) -> Sequence[Received]:
        if not self.visible:
            try:
                async with asyncio.timeout(wait_s):
                    await self.shown.wait()
            except TimeoutError:
                return []
        if not self.visible:
            return []
        self.visible = False
        self.shown.clear()
        self.receives += 1
        self.held_by = f"receipt-{self.receives}"
        return [Received("m-1", self.held_by, "one", self.receives, None, None)]

    async def change_visibility(self, changes: Sequence[tuple[str, float]]) -> Sequence[EntryResult]:
        for receipt, seconds in changes:
            if receipt == self.held_by and seconds == 0:
                self.visible, self.held_by = True, None
                self.shown.set()
        return [Done() for _ in changes]

    async def delete(self, receipts: Sequence[str]) -> Sequence[EntryResult]:
        return [Done() for _ in receipts]

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[EntryResult]:
        return [Done() for _ in messages]

    async def depth(self) -> QueueDepth:
        return QueueDepth(visible=int(self.visible), in_flight=int(not self.visible), delayed=0)

    async def facts(self) -> QueueFacts:
        raise NotImplementedError


def consumer_of(commands: Eager, runtime: Runtime, phase: Phase) -> Consumer:
    """A consumer whose handler comes as far as this phase, and never ends."""
    metrics = Metrics()

    async def handle(delivery: Delivery) -> Disposition:
        delivery.enter(phase)
        await runtime.sleep(1e6)
        return Delete()

    return Consumer(
        queue=commands,
        dead_letters=Eager("dead-letters", visible=False),
        handle=handle,
        sweep=handle,
        intake=Intake(metrics),
        runtime=runtime,
        metrics=metrics,
        health=Health(runtime),
        config=CONFIG,
    )


def test_a_drain_leaves_nothing_invisible() -> None:
    """What is given back comes again through a poll that is still open, in the same turn of the loop as the answer."""

    async def story() -> Eager:
        runtime, commands = virtual_runtime(), Eager("commands")
        consumer = consumer_of(commands, runtime, Phase.BUFFERED)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(consumer.run())
            await runtime.sleep(1)
            consumer.drain(10)
            summary = await running
        assert (summary.left, summary.cancelled) == (0, 0)
        return commands

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        commands = runner.run(story())
    assert commands.receives > 1, "the open poll has had it again"
    assert commands.visible, "given back for good"


def test_a_second_signal_in_the_turn_in_which_grace_ends_gives_back_what_is_held() -> None:
    async def story() -> DrainSummary:
        runtime = virtual_runtime()
        consumer = consumer_of(Eager("commands"), runtime, Phase.RUNNING)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(consumer.run())
            await runtime.sleep(6)
            consumer.drain(10)
            await runtime.sleep(10 - _SAME_TURN_S)
            consumer.abort()
            return await running

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(story()) == DrainSummary(cancelled=1)
