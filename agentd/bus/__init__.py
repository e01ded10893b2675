"""From a queue to a disposition carried out. Knows no handler."""

from agentd.bus.adapters import queue_for
from agentd.bus.address import kind_of, name_of
from agentd.bus.batcher import Batcher
from agentd.bus.config import BusConfig
from agentd.bus.consumer import Consumer
from agentd.bus.deadletters import DeadLetterEntry, DeadLetters, RedriveResult
from agentd.bus.deliveries import DrainSummary, Handle
from agentd.bus.facts import QueueFacts, QueueKind
from agentd.bus.intake import Intake
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
from agentd.bus.table import DeliveryTable

__all__ = [
    "Batcher",
    "BusConfig",
    "Consumer",
    "DeadLetterEntry",
    "DeadLetters",
    "DeliveryTable",
    "Done",
    "DrainSummary",
    "EntryFailed",
    "EntryRefused",
    "EntryResult",
    "Handle",
    "Intake",
    "Outgoing",
    "Queue",
    "QueueDepth",
    "QueueFacts",
    "QueueKind",
    "QueueLimits",
    "ReceiptLost",
    "Received",
    "RedriveResult",
    "kind_of",
    "name_of",
    "queue_for",
]
