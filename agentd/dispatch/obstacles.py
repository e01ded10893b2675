"""What a claim that cannot be had means for its event. Pure."""

from typing import assert_never

from agentd.core import Outcome, OutcomeKind, Reason
from agentd.events import Event
from agentd.ledger import Conflict, Deleted, Exhausted, NameTaken, Superseded

FinalObstacle = Superseded | Conflict | Deleted | NameTaken | Exhausted


def outcome_of(obstacle: FinalObstacle, event: Event) -> Outcome:
    """The end of an event whose claim is refused for good."""
    kind = OutcomeKind.FAILED
    match obstacle:
        case Superseded(by_event_id=other, generation=generation):
            kind, reason = OutcomeKind.SUPERSEDED, Reason.NEWER_GENERATION
            message = f"generation {generation} was taken up by event {other}"
        case Conflict(by_event_id=other, generation=generation):
            kind, reason = OutcomeKind.REJECTED, Reason.CONFLICT
            message = f"generation: {generation} was used by event {other} already"
        case Deleted(generation=generation):
            reason = Reason.DELETED
            message = f"{event.subject} was deleted at generation {generation}"
        case NameTaken(kind=name_kind, name=name, by_subject=other):
            reason = Reason.NAME_TAKEN
            message = f"{name_kind} name {name!r} belongs to {other}"
        case Exhausted(attempts=attempts, last_error=None):
            reason = Reason.CRASH_LOOP
            message = f"{attempts} attempts, the last of which ended with the process"
        case Exhausted(attempts=attempts, last_error=last_error):
            reason = Reason.ATTEMPTS_EXHAUSTED
            message = f"{attempts} attempts; the last: {last_error}"
        case _:
            assert_never(obstacle)
    return Outcome(kind, reason=reason, message=message)
