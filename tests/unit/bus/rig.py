"""A consumer on real queues, and short words for what tests do with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from agentd.bus import BusConfig, Consumer, Done, DrainSummary, Intake, Outgoing, Received
from agentd.bus.sqs import SqsQueue
from agentd.core import Delete, Delivery, Disposition, Runtime, system_runtime
from agentd.embedded import EmbeddedCloud, Fault, FaultKind
from agentd.telemetry import Health, Metrics
from tests.servers import AwsServer, SqsAdmin

DEADLINE_S = 12.0
POLL_S = 0.01
FAST = BusConfig(
    wait_s=1, receive_backoff_base_s=0.05, receive_backoff_cap_s=0.2, lease_tick_s=0.1, sweep_interval_s=3600
)
"""Short polls, so that a drain at the end of a test is short."""

Handle = Callable[[Delivery], Awaitable[Disposition]]


async def delete(_delivery: Delivery) -> Disposition:
    """The simplest handler."""
    return Delete()


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(POLL_S)


@dataclass(slots=True)
class Running:
    """A consumer at work."""

    consumer: Consumer
    task: asyncio.Task[DrainSummary]

    async def drained(self, grace_s: float = 5.0) -> DrainSummary:
        """Drain it, and say what became of what it held."""
        self.consumer.drain(grace_s)
        async with asyncio.timeout(DEADLINE_S):
            return await self.task


@dataclass(slots=True)
class Rig:
    """One pair of queues, with everything that a consumer is given."""

    cloud: EmbeddedCloud
    admin: SqsAdmin
    runtime: Runtime
    commands: SqsQueue
    dead_letters: SqsQueue
    metrics: Metrics
    health: Health
    intake: Intake
    faults: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @classmethod
    @asynccontextmanager
    async def on(cls, cloud: EmbeddedCloud, admin: SqsAdmin, *, fifo: bool) -> AsyncIterator["Rig"]:
        """New queues; closed, and all faults lifted, when the block ends."""
        runtime = system_runtime()
        pair = await admin.pair(fifo=fifo)
        aws = AwsServer("embedded", cloud.endpoint_url).aws
        commands = SqsQueue(pair.commands, name="commands", aws=aws, runtime=runtime, session=admin.session)
        dead_letters = SqsQueue(pair.dead_letters, name="dead-letters", aws=aws, runtime=runtime, session=admin.session)
        await commands.open()
        await dead_letters.open()
        metrics = Metrics()
        rig = cls(cloud, admin, runtime, commands, dead_letters, metrics, Health(runtime), Intake(metrics))
        try:
            yield rig
        finally:
            if rig.faults:
                await cloud.clear(*rig.faults)
            await commands.close()
            await dead_letters.close()

    @asynccontextmanager
    async def consuming(
        self, handle: Handle, *, sweep: Handle = delete, config: BusConfig = FAST
    ) -> AsyncIterator[Running]:
        """A consumer that runs until the block ends; its books must balance then."""
        consumer = Consumer(
            queue=self.commands,
            dead_letters=self.dead_letters,
            handle=handle,
            sweep=sweep,
            intake=self.intake,
            runtime=self.runtime,
            metrics=self.metrics,
            health=self.health,
            config=config,
        )
        async with asyncio.TaskGroup() as group:
            task = group.create_task(consumer.run())
            try:
                yield Running(consumer, task)
                assert self.health.ailments() == ()
            finally:
                consumer.abort()
        self.intake.resume("draining")  # for another consumer of the same test
        assert (len(consumer.table), consumer.table.free) == (0, config.slots)
        assert consumer.table.check() is None
        assert self.health.pulses() == ()

    async def send(self, *bodies: str, group: str | None = None, **attributes: str) -> None:
        """Put messages on the commands queue, in one batch."""
        await self.send_to(self.commands, *bodies, group=group, **attributes)

    async def send_to(self, queue: SqsQueue, *bodies: str, group: str | None = None, **attributes: str) -> None:
        """Put messages on a queue, each in a group of its own unless one is named."""
        messages = [
            Outgoing(body, attributes, group=group or f"group-{body}", dedupe_id=f"dedupe-{next(self.numbers)}")
            for body in bodies
        ]
        assert list(await queue.send(messages)) == [Done()] * len(messages)

    async def taken(self, queue: SqsQueue, number: int = 1) -> Sequence[Received]:
        """What somebody else gets who receives until there are so many messages."""
        received: list[Received] = []
        async with asyncio.timeout(DEADLINE_S):
            while len(received) < number:
                received += await queue.receive(10, wait_s=1, visibility_s=60)
        return received

    async def is_empty(self, queue: SqsQueue) -> bool:
        """Whether nothing is on the queue, shown or held."""
        depth = await queue.depth()
        return (depth.visible, depth.in_flight, depth.delayed) == (0, 0, 0)

    async def fault(
        self, operation: str, *, kind: FaultKind = FaultKind.ERROR, times: int | None = 1, **how: object
    ) -> str:
        """Let calls to the commands queue fail; lifted when the test ends."""
        fault = Fault.model_validate(
            {
                "kind": kind,
                "service": "sqs",
                "operation": operation,
                "contains": self.commands.url.rsplit("/", 1)[1],
                "times": times,
                "status": 500,
            }
            | how
        )
        self.faults.append(await self.cloud.inject(fault))
        return self.faults[-1]

    def metric(self, name: str, **labels: str) -> float:
        """A sample as it would be scraped; 0 when there is none yet."""
        return self.metrics.registry.get_sample_value(f"agentd_{name}", labels) or 0.0
