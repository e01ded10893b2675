"""How the world of a subject differs from what is desired of it: the words of drift."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from agentd.core.plans import PlannedChange, change_json, hash_of
from agentd.core.reasons import Reason
from agentd.core.subject import Subject


class DriftState(StrEnum):
    """What a comparison comes to."""

    IN_SYNC = "in_sync"
    """The world is as is desired."""
    DRIFTED = "drifted"
    """Somebody has changed it since it was."""
    UNFINISHED = "unfinished"
    """The event that desires it has failed: what differs is what that one has not done."""
    BLOCKED = "blocked"
    """What is desired could not be brought about at this moment. The problem says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One subject, compared. `changes` are what would bring it back, `problem` what stands in the way of that."""

    subject: Subject
    generation: int
    state: DriftState
    changes: tuple[PlannedChange, ...] = ()
    reason: Reason | None = None
    problem: str = ""

    @property
    def planhash(self) -> str:
        """The hash of the plan that would bring it back."""
        return hash_of([change_json(change) for change in self.changes])

    @property
    def digest(self) -> str:
        """The same for as long as there is nothing new to tell. Words of a problem may change all the time."""
        text = "\n".join((self.state.value, self.reason.value if self.reason else "", self.planhash))
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
