"""A queue under test, and short words for what every behaviour does with it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from agentd.bus import Done, Outgoing, Received
from agentd.bus.sqs import SqsQueue
from agentd.core import Runtime
from tests.servers import AwsServer, SqsAdmin

DEADLINE_S = 12.0


@dataclass(slots=True)
class Rig:
    """Opens queues of one kind on one server, and closes them in the end."""

    server: AwsServer
    admin: SqsAdmin
    runtime: Runtime
    fifo: bool
    numbers: Iterator[int]
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def queue(self, attributes: Mapping[str, str] | None = None) -> SqsQueue:
        """A new queue, open."""
        return await self.opened(await self.admin.queue(fifo=self.fifo, attributes=attributes))

    async def opened(self, url: str, *, name: str = "commands") -> SqsQueue:
        """The queue with this URL, open."""
        queue = SqsQueue(url, name=name, aws=self.server.aws, runtime=self.runtime, session=self.admin.session)
        await queue.open()
        self._stack.push_async_callback(queue.close)
        return queue

    def message(self, body: str = "hello", *, group: str | None = None, **attributes: str) -> Outgoing:
        """A message in a group of its own unless one is named."""
        number = next(self.numbers)
        return Outgoing(
            body=body, attributes=attributes, group=group or f"group-{number}", dedupe_id=f"dedupe-{number}"
        )

    async def send(self, queue: SqsQueue, *messages: Outgoing) -> None:
        """Send, and insist."""
        assert list(await queue.send(messages)) == [Done()] * len(messages)

    async def receive(self, queue: SqsQueue, number: int = 1, *, visibility_s: float = 30.0) -> Sequence[Received]:
        """Just so many messages, in as many receives as it takes."""
        received: list[Received] = []
        async with asyncio.timeout(DEADLINE_S):
            while len(received) < number:
                received += await queue.receive(number - len(received), wait_s=1, visibility_s=visibility_s)
        return received

    async def nothing_shows(self, queue: SqsQueue, *, wait_s: float = 0.0) -> bool:
        """Whether a receive comes back empty."""
        return not await queue.receive(10, wait_s=wait_s, visibility_s=30)
