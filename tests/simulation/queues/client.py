"""What the agent is given of a simulated queue: the protocol, over a network that loses requests and answers."""

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import TypeVar

from agentd.bus import EntryFailed, EntryRefused, EntryResult, Outgoing, QueueDepth, QueueFacts, QueueLimits, Received
from agentd.core import PermanentError, Reason, TransientError
from tests.simulation.loop import SimLoop
from tests.simulation.queues.faults import QueueFault, QueueFaultKind
from tests.simulation.queues.server import QueueServer

T = TypeVar("T")
Answer = Callable[[T], None]

_CALL_TIMEOUT_S = 10.0
_READ_MARGIN_S = 4.0
_ATTEMPTS_KEPT = 16
_LATENCY_S = (0.002, 0.03)
_USUAL_S = 0.005

_OF_CALLS = (
    QueueFaultKind.REFUSED,
    QueueFaultKind.THROTTLED,
    QueueFaultKind.DENIED,
    QueueFaultKind.LOST_ANSWER,
    QueueFaultKind.HUNG_AFTER,
    QueueFaultKind.HUNG_BEFORE,
    QueueFaultKind.SLOW,
)
_NOTHING_HAPPENS = (
    QueueFaultKind.REFUSED,
    QueueFaultKind.THROTTLED,
    QueueFaultKind.DENIED,
    QueueFaultKind.HUNG_BEFORE,
)
_REASONS = {
    QueueFaultKind.THROTTLED: Reason.THROTTLED,
    QueueFaultKind.DENIED: Reason.ACCESS_DENIED,
}


class SimQueue:
    """Implements `agentd.bus.Queue` for one process.

    `asked` is told of each call when it begins, `delivered` of the messages that have reached the process.
    """

    def __init__(
        self,
        server: QueueServer,
        loop: SimLoop,
        random: Random,
        *,
        by: str,
        replica: int | None,
        asked: Callable[[str, str], None],
        delivered: Callable[[Sequence[Received]], None],
    ) -> None:
        self._server = server
        self._loop = loop
        self._random = random
        self._by = by
        self._replica = replica
        self._asked = asked
        self._delivered = delivered
        self._attempts = 0
        self._unanswered: list[tuple[str, int]] = []

    @property
    def name(self) -> str:
        return self._server.name

    @property
    def url(self) -> str:
        return f"https://queues.example/{self.name}"

    @property
    def dead_letters_url(self) -> str | None:
        return None

    @property
    def limits(self) -> QueueLimits:
        return self._server.limits

    async def open(self) -> None:
        """Nothing: it is always there."""

    async def close(self) -> None:
        """Nothing."""

    async def receive(self, limit: int, *, wait_s: float, visibility_s: float) -> Sequence[Received]:
        self._check_size(limit)
        attempt, size = self._attempt(limit)
        wait = math.ceil(wait_s)

        def effect(answer: Answer[Sequence[Received]]) -> None:
            self._server.receive(
                size, wait_s=wait, visibility_s=math.ceil(visibility_s), reply=answer, by=self._by, attempt=attempt
            )

        try:
            received = await self._call("receive", effect, within_s=wait + _READ_MARGIN_S)
        except TransientError:
            if attempt is not None:
                self._unanswered = [*self._unanswered, (attempt, size)][-_ATTEMPTS_KEPT:]
            raise
        self._delivered(received)
        return received

    async def delete(self, receipts: Sequence[str]) -> Sequence[EntryResult]:
        self._check_size(len(receipts))
        return await self._batch("delete", [partial(self._server.delete, receipt, by=self._by) for receipt in receipts])

    async def change_visibility(self, changes: Sequence[tuple[str, float]]) -> Sequence[EntryResult]:
        self._check_size(len(changes))
        return await self._batch(
            "change_visibility",
            [
                partial(self._server.change_visibility, receipt, float(math.ceil(seconds)), by=self._by)
                for receipt, seconds in changes
            ],
        )

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[EntryResult]:
        self._check_size(len(messages))
        return await self._batch("send", [partial(self._send_one, message) for message in messages])

    async def depth(self) -> QueueDepth:
        return await self._call("depth", lambda answer: answer(self._server.depth()))

    async def facts(self) -> QueueFacts:
        """For people alone, of whom there are none here."""
        raise PermanentError(Reason.UNSUPPORTED, "a simulated queue has no facts")

    def _send_one(self, message: Outgoing) -> EntryResult:
        if message.size_bytes > self.limits.max_message_bytes:
            return EntryRefused(f"{message.size_bytes} bytes are too many")
        return self._server.send(message, by=self._by)

    def _check_size(self, entries: int) -> None:
        if not 0 < entries <= self.limits.max_batch:
            raise ValueError(f"{entries} entries in one call; the queue takes 1 to {self.limits.max_batch}")

    def _attempt(self, limit: int) -> tuple[str | None, int]:
        """On FIFO queues a receive whose answer was lost is asked again."""
        if not self._server.settings.fifo:
            return None, limit
        for known in self._unanswered:
            if known[1] <= limit:
                self._unanswered.remove(known)
                return known
        self._attempts += 1
        return f"{self._by}/{self._attempts}", limit

    async def _batch(self, operation: str, entries: Sequence[Callable[[], EntryResult]]) -> Sequence[EntryResult]:
        def effect(answer: Answer[Sequence[EntryResult]]) -> None:
            answer([self._entry(operation, entry) for entry in entries])

        return await self._call(operation, effect)

    def _entry(self, operation: str, entry: Callable[[], EntryResult]) -> EntryResult:
        if self._meets(operation, (QueueFaultKind.PARTIAL,)):
            if self._random.random() < 1 / 2:  # done all the same
                entry()
            return EntryFailed("InternalError: simulated")
        return entry()

    # -- the network ---------------------------------------------------------------------------------------------------

    async def _call(
        self, operation: str, effect: Callable[[Answer[T]], None], *, within_s: float = _CALL_TIMEOUT_S
    ) -> T:
        self._asked(self.name, operation)
        met = self._meets(operation, _OF_CALLS)
        future: asyncio.Future[T] = self._loop.create_future()
        late_s = met.delay_s if met and met.kind is QueueFaultKind.SLOW else 0.0
        self._later(self._latency() + late_s, partial(self._arrive, operation, effect, met, future))
        try:
            async with asyncio.timeout(within_s):
                return await future
        except TimeoutError as error:
            raise TransientError(Reason.UNAVAILABLE, f"{operation} on queue {self.name}: no answer in time") from error

    def _arrive(
        self,
        operation: str,
        effect: Callable[[Answer[T]], None],
        met: QueueFault | None,
        future: "asyncio.Future[T]",
    ) -> None:
        """The request is at the server."""
        if met is None or met.kind not in _NOTHING_HAPPENS:
            effect(partial(self._answer, operation, met, future))
        elif met.kind is not QueueFaultKind.HUNG_BEFORE:
            self._fail(operation, met, future)

    def _answer(self, operation: str, met: QueueFault | None, future: "asyncio.Future[T]", answer: T) -> None:
        """The server's answer is on its way back."""
        if met is not None and met.kind is QueueFaultKind.LOST_ANSWER:
            self._fail(operation, met, future)
        elif met is None or met.kind is not QueueFaultKind.HUNG_AFTER:
            self._later(self._latency(), lambda: None if future.done() else future.set_result(answer))

    def _fail(self, operation: str, met: QueueFault, future: "asyncio.Future[T]") -> None:
        error_class = PermanentError if met.kind is QueueFaultKind.DENIED else TransientError
        reason = _REASONS.get(met.kind, Reason.UNAVAILABLE)
        error = error_class(reason, f"{operation} on queue {self.name}: simulated: {met.kind}")
        self._later(self._latency(), lambda: None if future.done() else future.set_exception(error))

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        self._loop.call_later(seconds, work, context=self._loop.server_context)

    def _latency(self) -> float:
        """Often the same: answers then come together, in one turn of the loop."""
        return _USUAL_S if self._random.random() < 1 / 2 else self._random.uniform(*_LATENCY_S)

    def _meets(self, operation: str, kinds: Sequence[QueueFaultKind]) -> QueueFault | None:
        return self._server.faults.met(
            self._loop.time(), kinds, queue=self.name, operation=operation, replica=self._replica
        )
