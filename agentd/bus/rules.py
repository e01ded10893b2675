"""What every queue refuses, so that a message that one of them takes fits the others too. Pure functions."""

from collections.abc import Iterator

from agentd.bus.protocol import Outgoing, QueueLimits
from agentd.bus.text import FORBIDDEN, MAX_ATTRIBUTES


def check_size(entries: int, most: int) -> None:
    """ValueError for a batch that the queue would refuse as a whole."""
    if not 1 <= entries <= most:
        raise ValueError(f"{entries} entries, a batch takes 1 to {most}")


def fault(message: Outgoing, limits: QueueLimits) -> str | None:
    """Why the queue would refuse the message."""
    return next(_faults(message, limits), None)


def _faults(message: Outgoing, limits: QueueLimits) -> Iterator[str]:
    if not message.body:
        yield "the body is empty"
    if bad := FORBIDDEN.search("".join((message.body, *message.attributes, *message.attributes.values()))):
        yield f"character U+{ord(bad.group()):04X} is not allowed"
        return  # a lone surrogate has no size in bytes
    if len(message.attributes) > MAX_ATTRIBUTES:
        yield f"{len(message.attributes)} attributes, allowed are {MAX_ATTRIBUTES}"
    if empty := [name for name, value in message.attributes.items() if not value]:
        yield f"attribute {empty[0]} is empty"
    if message.delay_s > limits.max_delay_s:
        yield f"a delay of {message.delay_s:g} s, allowed are {limits.max_delay_s:g} s"
    if limits.fifo and not (message.group and message.dedupe_id):
        yield "a FIFO queue needs a group and a dedupe id"
    if not limits.fits(message):
        yield f"{limits.size_of(message)} bytes with attributes, allowed are {limits.max_message_bytes}"
