"""What a port asks before it writes."""

from typing import Protocol

from agentd.core.subject import Subject


class Fence(Protocol):
    """The right to write on behalf of one claimed subject, for as long as its lease is valid.

    Ports take a fence with every mutating call and refuse to write without one.
    """

    @property
    def subject(self) -> Subject:
        """The claimed subject."""
        ...

    @property
    def generation(self) -> int:
        """The claimed generation: objects with a newer one are not ours to touch any more."""
        ...

    @property
    def event_id(self) -> str:
        """The event on whose behalf the write is done."""
        ...

    @property
    def owner_id(self) -> str:
        """This agent's own owner id: objects with another one are foreign (I11)."""
        ...

    async def before_write(self, obj: str, *, stamp: bool = False, destroys: bool = False) -> float:
        """Call right before each mutating call on `obj`, a name such as `ecr:repository/team/app`.

        Makes durable that the event had to change something (`stamp=True`: only bookkeeping metadata, not counted), and
        returns the seconds that the call may take: always less than what remains of the lease. `destroys=True`: the call
        is a step of deleting `obj`, and counts for the customer's budget. Raises LeaseLost, and NotReady(budget) when it is
        used up.
        """
        ...
