"""What the consumer asks of a queue. Every adapter keeps every sentence of it; the conformance suite holds them to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What the queue can take. Read from the queue where it says so."""

    max_message_bytes: int
    max_batch: int
    max_wait_s: float
    max_visibility_s: float
    """From one receive on, over all extensions; beyond it the queue refuses."""
    max_delay_s: float
    fifo: bool
    retention_s: float
    visibility_s: float
    """The queue's own default."""
    max_receive_count: int | None
    """Of the queue's redrive policy: how often it hands a message out before it moves it by itself; None without one."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message as the queue hands it out. Times are seconds since the epoch. `receipt` is good for this receive only."""

    message_id: str
    receipt: str
    body: str
    receive_count: int
    sent_at: float | None
    group: str | None
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send. On FIFO queues `group` and `dedupe_id` are needed; elsewhere they are ignored."""

    body: str
    attributes: dict[str, str] = field(default_factory=dict)
    group: str | None = None
    dedupe_id: str | None = None
    delay_s: float = 0.0

    @property
    def size_bytes(self) -> int:
        """What counts against `max_message_bytes`: the body, and each attribute's name, type and value."""
        attributes = (len(f"{name}String{value}".encode()) for name, value in self.attributes.items())
        return len(self.body.encode()) + sum(attributes)


@dataclass(frozen=True, slots=True)
class Done:
    """The entry was carried out. `receipt` is the one to use from now on, where the queue changes it."""

    receipt: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiptLost:
    """The receipt is no longer good: the message is somebody else's by now, or gone. Final."""

    message: str


@dataclass(frozen=True, slots=True)
class EntryRefused:
    """The queue refuses this entry whatever is done: too large, bad characters, over the cap. Final."""

    message: str


@dataclass(frozen=True, slots=True)
class EntryFailed:
    """The queue could not do it this time; worth trying again."""

    message: str
    retry_after_s: float | None = None


EntryResult = Done | ReceiptLost | EntryRefused | EntryFailed


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Approximate counts."""

    visible: int
    in_flight: int
    delayed: int


class Queue(Protocol):
    """One queue. Calls raise TransientError or PermanentError as a whole (unreachable, access denied, no such queue),

    with the operation, the queue, and the provider's code and request id in the message. Batches answer entry by entry,
    in the order given, and take at most `limits.max_batch` entries; a larger one is a ValueError.
    """

    @property
    def name(self) -> str:
        """A short name for logs and metrics, from the closed set commands, dead-letters, reports."""
        ...

    @property
    def limits(self) -> QueueLimits:
        """Known once `open` has returned."""
        ...

    async def open(self) -> None:
        """Connect and read the limits."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

    async def receive(self, limit: int, *, wait_s: float, visibility_s: float) -> Sequence[Received]:
        """Up to `limit` messages, waiting up to `wait_s` for the first. A hung call is cut a little above its wait.

        Do not cancel it: what the queue has handed out by then is lost until its visibility ends.
        """
        ...

    async def delete(self, receipts: Sequence[str]) -> Sequence[EntryResult]:
        """Take messages off the queue."""
        ...

    async def change_visibility(self, changes: Sequence[tuple[str, float]]) -> Sequence[EntryResult]:
        """Hide each (receipt, seconds from now); 0 shows it again at once."""
        ...

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[EntryResult]:
        """Put messages on the queue."""
        ...

    async def depth(self) -> QueueDepth:
        """How much is on the queue, roughly."""
        ...
