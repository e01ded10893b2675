"""Looking through a queue without taking anything from it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from agentd.bus.protocol import Queue, Received
from agentd.core import PermanentError, TransientError
from agentd.telemetry import get_logger

log = get_logger("bus")

_WAIT_S = 1.0  # a long poll asks every server of the queue, a short one only some


class Peek:
    """Hands out each message once, page by page, hidden meanwhile.

    On a FIFO queue a group with a hidden message hands out no other, so that only the first few of a group are seen.
    """

    def __init__(self, queue: Queue, *, visibility_s: float, limit: int) -> None:
        self._queue = queue
        self._visibility_s = visibility_s
        self._left = limit
        self._seen: set[str] = set()
        self._held: dict[str, str] = {}

    async def page(self) -> Sequence[Received]:
        """The next messages; none when there are no more, or the limit is reached."""
        most = min(self._queue.limits.max_batch, self._left)
        if most < 1:
            return []
        received = await self._queue.receive(most, wait_s=_WAIT_S, visibility_s=self._visibility_s)
        self._held |= {message.message_id: message.receipt for message in received}
        # One that comes again was hidden for too short a time: the queue has been gone round.
        fresh = [message for message in received if message.message_id not in self._seen]
        self._seen |= {message.message_id for message in fresh}
        self._left -= len(fresh)
        return fresh

    def taken(self, message: Received) -> None:
        """The message is gone: it is not shown again."""
        self._held.pop(message.message_id, None)

    async def show_again(self) -> None:
        """Show all that was not taken. What cannot be shown now shows by itself when its visibility ends."""
        receipts = list(self._held.values())
        self._held.clear()
        size = self._queue.limits.max_batch
        for start in range(0, len(receipts), size):
            part = receipts[start : start + size]
            try:
                await self._queue.change_visibility([(receipt, 0.0) for receipt in part])
            except (TransientError, PermanentError) as error:
                log.warning("peek.show_failed", queue=self._queue.name, messages=len(part), error=error.message)


@asynccontextmanager
async def peeking(queue: Queue, *, visibility_s: float, limit: int) -> AsyncIterator[Peek]:
    """Look through up to `limit` messages; in the end those that were not taken are shown again at once."""
    peek = Peek(queue, visibility_s=visibility_s, limit=limit)
    try:
        yield peek
    finally:
        await peek.show_again()
