"""What the consumer asks of a queue. Every adapter keeps every sentence of it; the conformance suite holds them to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Protocol

from agentd.bus.facts import QueueFacts
from agentd.core import lean


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What the queue can take, and what it can do. Read from the queue where it says so."""

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
    """How often the queue hands a message out before it moves it to its dead-letter queue by itself; None: it never does."""
    tells_hidden: bool = True
    """Whether `depth` tells hidden messages from those that show; else all of them count as visible."""
    size_of: "Callable[[Outgoing], int]" = attrgetter("size_bytes")
    """What of a message counts against `max_message_bytes`."""

    def fits(self, message: "Outgoing") -> bool:
        """Whether the message is small enough."""
        return self.size_of(message) <= self.max_message_bytes


@lean(frozen=True, slots=True)
class Received:
    """A message as the queue hands it out. Times are seconds since the epoch.

    `receipt` is good for this receive only, and until a change of visibility has brought a newer one. `expires_at` is when
    the queue drops the message, where every message has a time of its own; else the queue's retention says it.
    """

    message_id: str
    receipt: str
    body: str
    receive_count: int
    sent_at: float | None
    group: str | None
    attributes: dict[str, str] = field(default_factory=dict)
    expires_at: float | None = None


@lean(frozen=True, slots=True)
class Outgoing:
    """A message to send. On FIFO queues `group` and `dedupe_id` are needed; elsewhere they are ignored."""

    body: str
    attributes: dict[str, str] = field(default_factory=dict)
    group: str | None = None
    dedupe_id: str | None = None
    delay_s: float = 0.0

    @property
    def size_bytes(self) -> int:
        """The body, and each attribute's name, type and value: what most queues count."""
        attributes = (len(f"{name}String{value}".encode()) for name, value in self.attributes.items())
        return len(self.body.encode()) + sum(attributes)


@lean(frozen=True, slots=True)
class Done:
    """The entry was carried out. `receipt` is the one to use from now on, where the queue changes it: the old one is lost."""

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
    def url(self) -> str:
        """Where it is, as settings name it."""
        ...

    @property
    def limits(self) -> QueueLimits:
        """Known once `open` has returned."""
        ...

    @property
    def dead_letters_url(self) -> str | None:
        """The queue for dead letters that goes with this one, known once `open` has returned; None when nothing names one."""
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

    async def facts(self) -> QueueFacts:
        """How the queue is set up, for people who look after it."""
        ...
