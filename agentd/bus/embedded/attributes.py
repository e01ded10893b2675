"""How a queue in a file is set up: what a queue of SQS has as its attributes."""

from dataclasses import dataclass

from agentd.bus.address import EmbeddedAddress

_DAY_S = 86_400.0
_COMMANDS_RECEIVES = 100  # a backstop: the agent counts attempts itself, in its ledger


@dataclass(frozen=True, slots=True)
class Attributes:
    """Of one queue. `dead_letters` is the name of the queue that takes what was received `max_receive_count` times."""

    max_message_bytes: int = 1_048_576
    retention_s: float = 4 * _DAY_S
    visibility_s: float = 30.0
    dead_letters: str | None = None
    max_receive_count: int | None = None


def default_attributes(address: EmbeddedAddress, name: str) -> Attributes:
    """Of a queue that the agent makes for itself, by the name that it has for it."""
    match name:
        case "commands":
            return Attributes(dead_letters=address.dead_letters.queue, max_receive_count=_COMMANDS_RECEIVES)
        case "dead-letters":
            return Attributes(retention_s=14 * _DAY_S)
        case _:
            return Attributes()
