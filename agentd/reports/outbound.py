"""Where reports go: a queue, as this room needs it."""

from collections.abc import Sequence
from typing import Protocol

from agentd.core import lean


@lean(frozen=True, slots=True)
class Message:
    """An outgoing CloudEvent. `id` names it once per source, `group` keeps order on FIFO queues."""

    id: str
    group: str
    body: str


class Outbound(Protocol):
    """The reports queue."""

    async def send(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Per message: None when the queue has taken it, else why not. Raises AgentError when nothing could be sent."""
        ...
