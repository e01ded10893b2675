"""A queue under test, and short words for what every behaviour does with it."""

import asyncio
import random
import string
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from agentd.bus import Done, Outgoing, Queue, QueueDepth, Received
from agentd.core import Runtime
from tests.conformance.queue.backends import Backend, Wanted

DEADLINE_S = 12.0
_LETTERS = string.ascii_letters + string.digits + "-_"


@dataclass(slots=True)
class Rig:
    """Opens queues in one place, and closes them in the end."""

    backend: Backend
    runtime: Runtime
    numbers: Iterator[int]
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def fifo(self) -> bool:
        """Whether its queues are FIFO."""
        return self.backend.fifo

    async def queue(self, wanted: Wanted = Wanted()) -> Queue:  # noqa: B008 - it is frozen
        """A new queue, open."""
        return await self.opened(await self.backend.make(wanted))

    async def opened(self, url: str, *, name: str = "commands", create: bool = False) -> Queue:
        """The queue with this URL, open."""
        queue = self.backend.queue(url, name=name, runtime=self.runtime, create=create)
        await queue.open()
        self._stack.push_async_callback(queue.close)
        return queue

    async def letters_of(self, queue: Queue) -> Queue:
        """The dead-letter queue that goes with it, open; made where the kind leaves that to the agent."""
        assert queue.dead_letters_url is not None
        return await self.opened(queue.dead_letters_url, name="dead-letters", create=True)

    def message(self, body: str = "hello", *, group: str | None = None, **attributes: str) -> Outgoing:
        """A message in a group of its own unless one is named."""
        number = next(self.numbers)
        return Outgoing(
            body=body, attributes=attributes, group=group or f"group-{number}", dedupe_id=f"dedupe-{number}"
        )

    def filled(self, queue: Queue, message: Outgoing, *, over: int = 0) -> Outgoing:
        """The message with a body that makes it as large as the queue takes, or larger by so many bytes."""
        rest = queue.limits.size_of(replace(message, body="x")) - 1
        letters = random.Random(1).choices(_LETTERS, k=queue.limits.max_message_bytes - rest + over)
        return replace(message, body="".join(letters))

    async def send(self, queue: Queue, *messages: Outgoing) -> None:
        """Send, and insist."""
        assert list(await queue.send(messages)) == [Done()] * len(messages)

    async def receive(self, queue: Queue, number: int = 1, *, visibility_s: float = 30.0) -> Sequence[Received]:
        """Just so many messages, in as many receives as it takes."""
        received: list[Received] = []
        async with asyncio.timeout(DEADLINE_S):
            while len(received) < number:
                received += await queue.receive(number - len(received), wait_s=1, visibility_s=visibility_s)
        return received

    async def shown(self, queue: Queue, message: Received) -> None:
        """Show a held message again at once, and insist."""
        (result,) = await queue.change_visibility([(message.receipt, 0)])
        assert isinstance(result, Done)

    async def nothing_shows(self, queue: Queue, *, wait_s: float = 0.0) -> bool:
        """Whether a receive comes back empty."""
        return not await queue.receive(10, wait_s=wait_s, visibility_s=30)

    def depth(self, queue: Queue, *, visible: int, hidden: int) -> QueueDepth:
        """What the queue says when it holds so many."""
        if queue.limits.tells_hidden:
            return QueueDepth(visible=visible, in_flight=hidden, delayed=0)
        return QueueDepth(visible=visible + hidden, in_flight=0, delayed=0)
