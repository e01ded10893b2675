"""Troubles of a queue, as explicit data: each lasts for a while and meets some of the calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class QueueFaultKind(StrEnum):
    """What happens to a call, or to a message."""

    REFUSED = "refused"
    """The server fails with an error of its own; nothing happens."""
    THROTTLED = "throttled"
    """The server has had too many calls; nothing happens."""
    DENIED = "denied"
    """Access is denied; nothing happens."""
    LOST_ANSWER = "lost answer"
    """It happens, and the connection breaks."""
    HUNG_AFTER = "hung after"
    """It happens, and no answer ever comes."""
    HUNG_BEFORE = "hung before"
    """Nothing happens, and no answer ever comes."""
    SLOW = "slow"
    """The request arrives late."""
    PARTIAL = "partial"
    """Of a batch some entries fail."""
    DUPLICATED = "duplicated"
    """A message that is handed out is shown to others too. Of standard queues."""
    RISEN = "risen"
    """A message that has been deleted is shown again later. Of standard queues."""
    SHORT = "short"
    """A receive brings less than there is."""


@dataclass(frozen=True, slots=True)
class QueueFault:
    """One trouble. `queue`, `operation` and `replica` None: of every one. `share` of the calls are met."""

    kind: QueueFaultKind
    queue: str | None
    operation: str | None
    start_s: float
    end_s: float
    share: float
    delay_s: float = 0.0
    replica: int | None = None

    def __str__(self) -> str:
        where = f"{self.queue or 'every queue'} {self.operation or 'every call'}"
        who = "" if self.replica is None else f" of replica {self.replica}"
        late = f", {self.delay_s:.1f} s late" if self.delay_s else ""
        return f"{self.start_s:.1f}-{self.end_s:.1f} s: {self.share:.0%} of {where}{who} {self.kind}{late}"


@dataclass(frozen=True, slots=True)
class QueueFaults:
    """All troubles of the queues of one run."""

    faults: Sequence[QueueFault]
    random: Random

    def met(
        self, now: float, kinds: Sequence[QueueFaultKind], *, queue: str, operation: str, replica: int | None
    ) -> QueueFault | None:
        """The trouble of one of these kinds that a call, or a message, meets; None when it meets none."""
        for fault in self.faults:
            if (
                fault.start_s <= now < fault.end_s
                and fault.kind in kinds
                and fault.queue in (None, queue)
                and fault.operation in (None, operation)
                and fault.replica in (None, replica)
                and self.random.random() < fault.share
            ):
                return fault
        return None
