"""Calls to a queue that never end, on a virtual clock: what hangs is named within 15 s, and a lost cloud is no ailment."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

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
from agentd.core import Delete, Delivery, Disposition, Reason, TransientError
from agentd.telemetry import Health, Metrics
from tests.virtual_time import VirtualTimeLoop, virtual_runtime

LIMITS = QueueLimits(
    max_message_bytes=262_144,
    max_batch=10,
    max_wait_s=20,
    max_visibility_s=43_200,
    max_delay_s=900,
    fifo=False,
    retention_s=345_600,
    visibility_s=30,
    max_receive_count=None,
)
CONFIG = BusConfig()


@dataclass(slots=True)
class Port:
    """A queue. Calls of the operations in `hanging` never end; of those in `stubborn` not even when they are cancelled.

    With `lost` every call fails, after a time-out.
    """

    name: str
    limits: QueueLimits = LIMITS
    hanging: set[str] = field(default_factory=set)
    stubborn: set[str] = field(default_factory=set)
    lost: bool = False
    messages: list[Received] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    url: str = "https://queue.example/1"
    dead_letters_url: str | None = None

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def receive(self, limit: int, *, wait_s: float, visibility_s: float) -> Sequence[Received]:
        await self._called("receive")
        found, self.messages = self.messages[:limit], self.messages[limit:]
        if not found:
            await asyncio.sleep(wait_s)
        return found

    async def delete(self, receipts: Sequence[str]) -> Sequence[EntryResult]:
        await self._called("delete")
        return [Done()] * len(receipts)

    async def change_visibility(self, changes: Sequence[tuple[str, float]]) -> Sequence[EntryResult]:
        await self._called("change_visibility")
        return [Done()] * len(changes)

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[EntryResult]:
        await self._called("send")
        return [Done()] * len(messages)

    async def depth(self) -> QueueDepth:
        await self._called("depth")
        return QueueDepth(0, 0, 0)

    async def facts(self) -> QueueFacts:
        raise AssertionError("a consumer asks for no facts")

    async def _called(self, operation: str) -> None:
        self.calls.append(operation)
        if self.lost:
            await asyncio.sleep(10)
            raise TransientError(Reason.UNAVAILABLE, "no answer in time")
        while operation in self.stubborn:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if operation not in self.stubborn:
                    raise
        if operation in self.hanging:
            await asyncio.Event().wait()


@dataclass(slots=True)
class Bench:
    """A consumer on one such queue."""

    queue: Port
    health: Health
    metrics: Metrics

    async def look_for(self, seconds: float, until: Callable[[], object] = lambda: False) -> float:
        """Look at its health every second; how long it took until the condition held."""
        clock = asyncio.get_running_loop().time
        began_at = clock()
        while clock() < began_at + seconds and not until():
            self.health.look()
            await asyncio.sleep(1)
        return clock() - began_at

    @property
    def ailments(self) -> list[str]:
        """What its last look has found."""
        return list(self.health.checkup.ailments)


def bench(
    scenario: Callable[[Bench], Awaitable[None]], *, handle: Callable[[Delivery], Awaitable[Disposition]]
) -> None:
    """Run a scenario on a consumer, on a virtual clock."""

    async def run() -> None:
        queue, runtime, metrics = Port("commands"), virtual_runtime(), Metrics()
        health = Health(runtime)
        consumer = Consumer(
            queue=queue,
            dead_letters=Port("dead-letters"),
            handle=handle,
            sweep=handle,
            intake=Intake(metrics),
            runtime=runtime,
            metrics=metrics,
            health=health,
            config=CONFIG,
        )
        task = asyncio.create_task(consumer.run())
        try:
            await scenario(Bench(queue, health, metrics))
        finally:
            queue.stubborn.clear()
            task.cancel()
            await asyncio.wait([task])

    _run(run())


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(work)


async def delete(_delivery: Delivery) -> Disposition:
    return Delete()


def test_a_receive_that_hangs_is_named_within_fifteen_seconds_and_forgotten_when_it_works_again() -> None:
    async def scenario(running: Bench) -> None:
        await running.look_for(60)
        assert running.ailments == []
        running.queue.hanging.add("receive")
        await running.look_for(CONFIG.wait_s)  # the poll that was open has ended, and the next one hangs
        took_s = await running.look_for(CONFIG.wait_s + 15, until=lambda: running.ailments)
        assert took_s <= CONFIG.wait_s + 15
        (ailment,) = running.ailments
        assert ailment == (
            "receivers: a receive from commands had no answer in 16 s (it waits for 10 s), "
            "although the queue answers other calls"
        )
        await running.look_for(300)
        assert running.ailments, "it still hangs"
        running.queue.hanging.clear()
        await running.look_for(60, until=lambda: not running.ailments)
        assert running.ailments == []

    bench(scenario, handle=delete)


def test_a_receive_that_cannot_be_cut_is_named_within_fifteen_seconds() -> None:
    async def scenario(running: Bench) -> None:
        running.queue.stubborn.add("receive")
        took_s = await running.look_for(CONFIG.wait_s + 20, until=lambda: running.ailments)
        assert took_s <= CONFIG.wait_s + 15
        (ailment,) = running.ailments
        assert ailment.startswith("loop commands-receiver-0 has not iterated for ")
        assert ailment.endswith(" (allowed: 20 s), since it began receiving")

    bench(scenario, handle=delete)


def test_a_lost_queue_is_no_ailment_however_long_it_lasts() -> None:
    async def scenario(running: Bench) -> None:
        running.queue.messages += [message(n) for n in range(20)]
        await running.look_for(20)
        running.queue.lost = True
        for _ in range(60):
            await running.look_for(10)
            assert running.ailments == []
        running.queue.lost = False
        await running.look_for(60)
        assert running.ailments == []

    bench(scenario, handle=delete)


def test_a_queue_that_swallows_every_call_is_lost() -> None:
    async def scenario(running: Bench) -> None:
        running.queue.hanging |= {"receive", "delete", "change_visibility", "depth"}
        for _ in range(30):
            await running.look_for(10)
            assert running.ailments == []

    bench(scenario, handle=delete)


def test_a_delete_that_hangs_is_cut_and_tried_again() -> None:
    async def scenario(running: Bench) -> None:
        running.queue.hanging.add("delete")
        running.queue.messages.append(message(1))
        await running.look_for(40)
        assert running.ailments == []
        assert running.queue.calls.count("delete") > 1
        running.queue.hanging.clear()
        await running.look_for(60)
        assert (
            running.metrics.registry.get_sample_value("agentd_acks_total", {"disposition": "delete", "result": "done"})
            == 1
        )

    bench(scenario, handle=delete)


def test_a_delete_that_cannot_be_cut_is_named() -> None:
    async def scenario(running: Bench) -> None:
        running.queue.stubborn.add("delete")
        running.queue.messages.append(message(1))
        took_s = await running.look_for(60, until=lambda: running.ailments)
        assert took_s <= 15 + 15  # its own time-out, and as long again
        (ailment,) = running.ailments
        assert ailment.startswith("batches of delete: task batch-delete has held a permit for ")

    bench(scenario, handle=delete)


def message(number: int) -> Received:
    """A message as the queue hands it out."""
    return Received(f"m-{number}", f"receipt-{number}", "{}", receive_count=1, sent_at=None, group=None)
