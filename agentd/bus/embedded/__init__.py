"""Queues in one SQLite file, for one machine without a cloud. They behave as those of SQS do, standard and FIFO."""

from agentd.bus.embedded.attributes import Attributes
from agentd.bus.embedded.queue import EmbeddedQueue

__all__ = ["Attributes", "EmbeddedQueue"]
