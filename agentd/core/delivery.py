"""One delivery of a message, as the bus hands it to the dispatcher."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """Where a delivery is. Every row of the delivery table is in exactly one."""

    BUFFERED = "buffered"
    """Received, not yet begun: waiting for its lane, a lock or a slot. May be given back at any time."""
    RUNNING = "running"
    """Its handler runs."""
    REPORTING = "reporting"
    """Its outcome is durable; its report is on its way."""
    DELETING = "deleting"
    """Being taken off the queue, dead-lettered, or given back."""


@dataclass(slots=True)
class Delivery:
    """A received message. Times are seconds since the epoch.

    `attributes` are the transport's string attributes. `dead_letter_epoch` is set on a message that comes back from the
    dead-letter queue. `group` is the FIFO group, if any. The queue drops the message at `retained_until`.
    """

    message_id: str
    body: str
    received_at: float
    queue: str
    sent_at: float | None = None
    receive_count: int = 1
    group: str | None = None
    dead_letter_epoch: int | None = None
    retained_until: float | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    on_phase: Callable[[Phase], None] | None = field(default=None, repr=False)

    def enter(self, phase: Phase) -> None:
        """Tell the delivery table what is being done with the message."""
        if self.on_phase is not None:
            self.on_phase(phase)
