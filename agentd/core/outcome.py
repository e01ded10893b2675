"""The two closed sets: how an event ends, and what becomes of one delivery of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agentd.core.lean import lean
from agentd.core.reasons import Reason

Json = Any  # a JSON value in the shape of whatever was asked for


class OutcomeKind(StrEnum):
    """The end of an event, per event and epoch."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"


@lean(frozen=True, slots=True)
class Outcome:
    """How an event ended.

    `changed`: whether any attempt had to do something. `step`: the failing one. `message`: for people, names the object.
    `result`: what was asked for, as JSON: the plan of an event that asked for one.
    """

    kind: OutcomeKind
    changed: bool = False
    reason: Reason | None = None
    message: str = ""
    step: str | None = None
    result: Json = None

    @property
    def dead_letters(self) -> bool:
        """Whether the message is kept in the dead-letter queue, to be looked at and redriven."""
        return self.kind in (OutcomeKind.FAILED, OutcomeKind.REJECTED)


@lean(frozen=True, slots=True)
class Delete:
    """The event is done with: take the message off the queue."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Move the message to the dead-letter queue, with these as attributes.

    `key` is the ledger's key of the event. `epoch` is the one that ended so: a message that comes back from the
    dead-letter queue with it asks for the next epoch, whoever moved it.
    """

    key: str
    epoch: int
    outcome: OutcomeKind
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Retry:
    """An attempt failed: show the message again after `delay_s` seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Defer:
    """Nobody is to blame, no attempt is counted: show the message again after `delay_s` seconds."""

    delay_s: float


Disposition = Delete | DeadLetter | Retry | Defer
