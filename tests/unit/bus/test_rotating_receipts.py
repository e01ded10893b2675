"""A queue whose receipts change with every change of visibility: no answer, however late, makes the bus lose a message."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agentd.bus import (
    BusConfig,
    Consumer,
    Done,
    EntryResult,
    Intake,
    Outgoing,
    Queue,
    QueueDepth,
    QueueFacts,
    QueueLimits,
    ReceiptLost,
    Received,
    queue_for,
)
from agentd.core import AwsConfig, AzureConfig, Delete, Delivery, Disposition, Phase, Retry, Runtime
from agentd.telemetry import Health, Metrics
from tests.virtual_time import VirtualTimeLoop, virtual_runtime

CONFIG = BusConfig(visibility_s=30, wait_s=1, receivers_max=1)
EXTENDED_AT_S = CONFIG.visibility_s * 2 / 3
LOST = ReceiptLost("a newer receipt has been given out")


@dataclass(slots=True)
class Rotating:
    """A queue in a file, with receipts as an Azure Storage Queue has them: a change of visibility gives a new one.

    Answers to extensions are held back until `answers` is set; the queue has carried them out by then.
    """

    inner: Queue
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    extensions: int = 0
    refused_deletes: int = 0
    _newest: dict[str, str] = field(default_factory=dict)

    name: str = "commands"

    @property
    def url(self) -> str:
        return self.inner.url

    @property
    def limits(self) -> QueueLimits:
        return self.inner.limits

    @property
    def dead_letters_url(self) -> str | None:
        return self.inner.dead_letters_url

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def receive(self, limit: int, *, wait_s: float, visibility_s: float) -> Sequence[Received]:
        found = await self.inner.receive(limit, wait_s=wait_s, visibility_s=visibility_s)
        self._newest |= {message.receipt: message.receipt for message in found}
        return found

    async def delete(self, receipts: Sequence[str]) -> Sequence[EntryResult]:
        results = [(await self.inner.delete([self._real(r)]))[0] if self._good(r) else LOST for r in receipts]
        self.refused_deletes += results.count(LOST)
        return results

    async def change_visibility(self, changes: Sequence[tuple[str, float]]) -> Sequence[EntryResult]:
        results = [await self._change(receipt, seconds) for receipt, seconds in changes]
        if any(seconds > EXTENDED_AT_S for _, seconds in changes):
            self.extensions += 1
            await self.answers.wait()
        return results

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[EntryResult]:
        return await self.inner.send(messages)

    async def depth(self) -> QueueDepth:
        return await self.inner.depth()

    async def facts(self) -> QueueFacts:
        return await self.inner.facts()

    async def _change(self, receipt: str, seconds: float) -> EntryResult:
        if not self._good(receipt):
            return LOST
        (result,) = await self.inner.change_visibility([(self._real(receipt), seconds)])
        newer = f"{receipt}+"
        self._newest[self._real(receipt)] = newer
        return Done(newer) if isinstance(result, Done) else result

    def _real(self, receipt: str) -> str:
        return receipt.rstrip("+")

    def _good(self, receipt: str) -> bool:
        return self._newest.get(self._real(receipt)) == receipt


@dataclass(slots=True)
class Scene:
    """One message, a handler that ends when it is told to, and a consumer at work."""

    queue: Rotating
    runtime: Runtime
    metrics: Metrics = field(default_factory=Metrics)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    decide: asyncio.Event = field(default_factory=asyncio.Event)
    disposition: Disposition = field(default_factory=Delete)
    handled: int = 0

    async def handle(self, delivery: Delivery) -> Disposition:
        self.handled += 1
        delivery.enter(Phase.RUNNING)
        self.began.set()
        await self.decide.wait()
        return self.disposition

    async def until_extended(self) -> None:
        """The queue has extended the lease, and nobody knows yet."""
        while not self.queue.extensions:
            await self.runtime.sleep(0.1)

    def acks(self, disposition: str, result: str) -> float:
        """How many such acknowledgements there were."""
        labels = {"disposition": disposition, "result": result}
        return self.metrics.registry.get_sample_value("agentd_acks_total", labels) or 0.0


def play(folder: Path, act: Callable[[Scene], Awaitable[None]], *, disposition: Disposition | None = None) -> Scene:
    """Play the act on a virtual clock with a consumer in the background, and drain it."""

    async def played() -> Scene:
        runtime = virtual_runtime()

        def opened(name: str) -> Queue:
            url = f"file://{folder}/queues.db?name={name}"
            return queue_for(url, name=name, aws=AwsConfig(), azure=AzureConfig(), runtime=runtime, create=True)

        commands, letters = opened("commands"), opened("dead-letters")
        await commands.open()
        await letters.open()
        scene = Scene(Rotating(commands), runtime, disposition=disposition or Delete())
        consumer = Consumer(
            queue=scene.queue,
            dead_letters=letters,
            handle=scene.handle,
            sweep=scene.handle,
            intake=Intake(scene.metrics),
            runtime=runtime,
            metrics=scene.metrics,
            health=Health(runtime),
            config=CONFIG,
        )
        await scene.queue.send([Outgoing("one")])
        async with asyncio.TaskGroup() as group:
            running = group.create_task(consumer.run())
            async with asyncio.timeout(300):
                await scene.began.wait()
                await act(scene)
            consumer.drain(60)
            await running
        assert await commands.depth() == QueueDepth(visible=0, in_flight=0, delayed=0)
        await commands.close()
        await letters.close()
        return scene

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(played())


def test_newest_receipt_is_used_after_an_extension(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.queue.answers.set()
        await scene.until_extended()
        await scene.runtime.sleep(1)
        scene.decide.set()

    scene = play(tmp_path, act)
    assert (scene.handled, scene.acks("delete", "done"), scene.queue.refused_deletes) == (1, 1, 0)


def test_delete_beside_an_extension_on_its_way_is_done_with_the_receipt_that_this_brings(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.until_extended()
        scene.decide.set()
        await scene.runtime.sleep(1)  # the delete has been refused meanwhile, for its receipt is no longer the newest
        scene.queue.answers.set()

    scene = play(tmp_path, act)
    assert scene.queue.refused_deletes >= 1
    assert (scene.handled, scene.acks("delete", "done"), scene.acks("delete", "lost")) == (1, 1, 0)


@pytest.mark.parametrize("delay_s", [1.0, 5.0])
def test_message_put_off_beside_an_extension_on_its_way_comes_back_when_it_should(
    tmp_path: Path, delay_s: float
) -> None:
    async def act(scene: Scene) -> None:
        await scene.until_extended()
        scene.decide.set()
        await scene.runtime.sleep(1)
        scene.queue.answers.set()
        while scene.handled < 1 + (scene.disposition != Delete()):
            scene.disposition = Delete() if scene.acks("retry", "done") else scene.disposition
            await scene.runtime.sleep(0.1)
        await scene.runtime.sleep(delay_s + 5)

    scene = play(tmp_path, act, disposition=Retry(delay_s))
    assert (scene.acks("retry", "done"), scene.acks("retry", "lost")) == (1, 0)
    assert scene.handled == 2
