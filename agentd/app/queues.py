"""The three queues of the daemon: opened, and tried again while they do not answer."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from agentd.app.stopping import Misconfigured, Stop
from agentd.bus import Done, Outgoing, Queue, QueueKind, kind_of, queue_for
from agentd.core import RetryPolicy, Runtime, TransientError
from agentd.reports import Message
from agentd.settings import Settings
from agentd.telemetry import get_logger

log = get_logger("app")

_OPEN_RETRY = RetryPolicy(base_s=1.0, cap_s=30.0)


class ReportsQueue:
    """The reports queue as the reports room needs it."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def send(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Per message: None when it was taken, else why not."""
        answers = await self._queue.send(
            [Outgoing(body=message.body, group=message.group, dedupe_id=message.id) for message in messages]
        )
        return [None if isinstance(answer, Done) else answer.message for answer in answers]


@dataclass(frozen=True, slots=True)
class Queues:
    """All open."""

    commands: Queue
    dead_letters: Queue
    reports: Queue


async def open_queues(stack: AsyncExitStack, settings: Settings, runtime: Runtime, stop: Stop) -> Queues | None:
    """The queues, once they answer; None when the wish to stop came first. Raises Misconfigured or PermanentError."""
    opening = _Opening(stack, settings, runtime, stop)
    commands = await opening.queue(settings.commands.queue_url, "commands")
    if commands is None:
        return None
    beside = settings.commands.dead_letter_queue_url is None
    dead_letters = await opening.queue(dead_letters_url(settings, commands), "dead-letters", create=beside)
    reports = await opening.queue(settings.reports_queue_url, "reports")
    if dead_letters is None or reports is None:
        return None
    return Queues(commands, dead_letters, reports)


def dead_letters_url(settings: Settings, commands: Queue) -> str:
    """The dead-letter queue: the one that is set, or the one that goes with the commands queue.

    `commands` is open. Raises Misconfigured when there is neither.
    """
    if settings.commands.dead_letter_queue_url is not None:
        return settings.commands.dead_letter_queue_url
    if commands.dead_letters_url is None:
        raise Misconfigured(
            "commands.dead_letter_queue_url: is not set, and the commands queue has no redrive policy that names one"
        )
    return commands.dead_letters_url


@dataclass(frozen=True, slots=True)
class _Opening:
    stack: AsyncExitStack
    settings: Settings
    runtime: Runtime
    stop: Stop

    async def queue(self, url: str, name: str, *, create: bool = False) -> Queue | None:
        """The queue, once it answers; None when the wish to stop came first.

        Embedded queues are made, for nobody else would; of others only a dead-letter queue that no setting names, lest a
        mistyped URL pass for an empty queue.
        """
        create = create or kind_of(url) is QueueKind.EMBEDDED
        settings = self.settings
        queue = queue_for(url, name=name, aws=settings.aws, azure=settings.azure, runtime=self.runtime, create=create)
        self.stack.push_async_callback(queue.close)
        failures = 0
        while not self.stop.drain.is_set():
            try:
                await queue.open()
            except TransientError as error:
                failures += 1
                log.warning("queue.unreachable", queue=name, error=error.message)
                await self._pause(self.runtime.full_jitter(_OPEN_RETRY.ceiling_s(failures)))
            else:
                return queue
        return None

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until the wish to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.drain.wait()
        except TimeoutError:
            return
