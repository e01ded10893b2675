"""Simulated queues: a server with the manners of SQS, and what the agent is given of it."""

from tests.simulation.queues.client import SimQueue
from tests.simulation.queues.faults import QueueFault, QueueFaultKind, QueueFaults
from tests.simulation.queues.server import Message, QueueServer, QueueSettings

__all__ = [
    "Message",
    "QueueFault",
    "QueueFaultKind",
    "QueueFaults",
    "QueueServer",
    "QueueSettings",
    "SimQueue",
]
