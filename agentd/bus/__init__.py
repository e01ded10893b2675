"""From a queue to a disposition carried out. Knows no handler."""

from agentd.bus.protocol import (
    Done,
    EntryFailed,
    EntryRefused,
    EntryResult,
    Outgoing,
    Queue,
    QueueDepth,
    QueueLimits,
    ReceiptLost,
    Received,
)

__all__ = [
    "Done",
    "EntryFailed",
    "EntryRefused",
    "EntryResult",
    "Outgoing",
    "Queue",
    "QueueDepth",
    "QueueLimits",
    "ReceiptLost",
    "Received",
]
