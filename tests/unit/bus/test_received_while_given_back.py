"""A message that is given back comes again through a poll that is still open, in the same turn of the loop as the answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentd.bus import (
    BusConfig,
    Consumer,
    Done,
    EntryResult,
    Intake,
    Outgoing,
    QueueDepth,
    QueueFacts,
    QueueLimits,
    Received,
)
from agentd.core import Delete, Delivery, Disposition
from agentd.telemetry import Health, Metrics
from tests.virtual_time import VirtualTimeLoop, virtual_runtime

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


def test_a_drain_leaves_nothing_invisible() -> None:
    async def story() -> Eager:
        runtime, metrics = virtual_runtime(), Metrics()
        commands, letters = Eager("commands"), Eager("dead-letters", visible=False)

        async def handle(_delivery: Delivery) -> Disposition:
            await runtime.sleep(1e6)
            return Delete()

        consumer = Consumer(
            queue=commands,
            dead_letters=letters,
            handle=handle,
            sweep=handle,
            intake=Intake(metrics),
            runtime=runtime,
            metrics=metrics,
            health=Health(runtime),
            config=CONFIG,
        )
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
