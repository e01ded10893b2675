"""What the queue moved to the dead-letter queue by itself gets an outcome too."""

import asyncio
import math
from collections.abc import Awaitable, Callable

from agentd.bus.deps import Deps
from agentd.bus.letters import KEY, dead_letter, epoch_of
from agentd.bus.peek import Peek, peeking
from agentd.bus.protocol import Done, Received
from agentd.core import AgentError, DeadLetter, Defer, Delete, Delivery, Disposition, Retry
from agentd.telemetry import get_logger

log = get_logger("bus")

_CALL_S = 15.0  # above the time-out of a call to a queue


class Sweeper:
    """Looks through the dead-letter queue now and then for messages that no agent has put there.

    A redriven one that the queue has given up is among them: it carries its epoch, but no key.

    A `DeadLetter` disposition sends the message back to the dead-letter queue, tagged, and deletes the untagged one;
    `Delete` deletes it; any other leaves it for the next sweep.
    """

    def __init__(self, deps: Deps, *, sweep: Callable[[Delivery], Awaitable[Disposition]]) -> None:
        self._dead_letters = deps.dead_letters
        self._runtime = deps.runtime
        self._config = deps.config
        self._pulse = deps.pulse("sweep")
        self._sweep = sweep
        self._stopping = False
        self._at_rest = asyncio.Event()
        self._at_rest.set()

    def stop(self) -> None:
        """Begin no other message."""
        self._stopping = True

    async def at_rest(self) -> None:
        """Wait until no sweep is going on."""
        await self._at_rest.wait()

    async def run(self) -> None:
        """Sweep until cancelled. The first comes at a random moment, so that replicas spread."""
        pause = self._runtime.full_jitter(self._config.sweep_interval_s)
        while True:
            self._pulse.beat("sleeping", within_s=pause)
            await self._runtime.sleep(pause)
            pause = self._config.sweep_interval_s
            if self._stopping:
                continue
            self._at_rest.clear()
            try:
                await self._look_through()
                self._pulse.succeeded()
            except AgentError as error:
                log.warning("sweep.failed", reason=error.reason, error=error.message)
            finally:
                self._at_rest.set()

    async def _look_through(self) -> None:
        config = self._config
        async with peeking(
            self._dead_letters, visibility_s=config.dead_letter_visibility_s, limit=config.sweep_limit
        ) as peek:
            while page := await self._page(peek):
                for message in page:
                    self._pulse.beat("deciding on a dead letter", within_s=config.dead_letter_visibility_s)
                    if KEY not in message.attributes and not self._stopping:
                        await self._one(message, peek)
            calls = math.ceil(config.sweep_limit / self._dead_letters.limits.max_batch)
            self._pulse.beat("showing dead letters again", within_s=calls * _CALL_S)

    async def _page(self, peek: Peek) -> list[Received]:
        self._pulse.beat("looking through dead letters", within_s=_CALL_S)
        return [] if self._stopping else list(await peek.page())

    async def _one(self, message: Received, peek: Peek) -> None:
        delivery = Delivery(
            message_id=message.message_id,
            body=message.body,
            received_at=self._runtime.now(),
            queue=self._dead_letters.name,
            sent_at=message.sent_at,
            receive_count=message.receive_count,
            group=message.group,
            dead_letter_epoch=epoch_of(message.attributes),
            attributes=message.attributes,
        )
        try:
            # Longer than the message is hidden nobody may hold it.
            async with asyncio.timeout(self._config.dead_letter_visibility_s):
                disposition = await self._sweep(delivery)
                gone = await self._carry_out(message, delivery, disposition)
        except Exception:
            log.exception("sweep.crashed", message_id=message.message_id)
            return
        if gone:
            peek.taken(message)
        log.info("sweep.done", message_id=message.message_id, disposition=type(disposition).__name__, gone=gone)

    async def _carry_out(self, message: Received, delivery: Delivery, disposition: Disposition) -> bool:
        match disposition:
            case Retry() | Defer():
                return False
            case DeadLetter():
                limits = self._dead_letters.limits
                letter = dead_letter(delivery, disposition, now=self._runtime.now(), limits=limits)
                (sent,) = await self._dead_letters.send([letter])
                if not isinstance(sent, Done):
                    log.error("dead_letter.refused", message_id=message.message_id, error=sent.message)
                    return False
            case Delete():
                pass
        (deleted,) = await self._dead_letters.delete([message.receipt])
        return isinstance(deleted, Done)
