"""What has drifted: the plan of what is desired already, against the world as it is.

Each kind of subject has one event that brings all of it to what is desired (`EventData.reconciles`). Its plan is empty as long as
the world is so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agentd.core import DriftState, Handler, OutcomeKind, Picture, Reason, Runtime, Subject, TransientError
from agentd.dispatch.attempt import AttemptResult, Failed, PutOff, result_of
from agentd.dispatch.planning import Planner
from agentd.events import CATALOGUE, EventData
from agentd.ledger import Foreseen, Ledger, Record, RecordState, SubjectState


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares subjects, one at a time. It writes nothing."""

    handlers: Mapping[str, Handler]
    planner: Planner
    ledger: Ledger
    runtime: Runtime

    async def compare(self, subject: Subject) -> Picture | None:
        """The subject as it is; None when there is nothing to compare: it is being worked on, or nothing is desired of it.

        Raises TransientError: the ledger, the cluster or the cloud does not answer.
        """
        handler = reconciler(self.handlers, subject.kind)
        state = await self.ledger.subject(subject)
        if handler is None or state is None or not state.desired or state.tombstone is not None:
            return None
        if state.held_by is not None and state.held_by.until > self.runtime.now():
            return None
        claimed = await self._claimed(state)
        if any(record.state is RecordState.OPEN for record in claimed):
            return None
        failed = next((record for record in claimed if not _succeeded(record)), None)
        picture = await self._picture(handler, subject, state)
        if picture is None or await self._has_moved_on(subject, state):
            return None
        if failed is None or picture.state is not DriftState.DRIFTED:
            return picture
        return Picture(
            subject, picture.generation, DriftState.UNFINISHED, picture.changes, problem=_what_failed(failed)
        )

    async def _claimed(self, state: SubjectState) -> list[Record]:
        """The events that the subject's desired state is from. Some may have been forgotten."""
        generations, found = set(state.facets.values()), []
        for key in state.events:
            if not generations:
                break
            record = await self.ledger.lookup(key)
            if record is not None and record.generation in generations and _has_claimed(record):
                generations.discard(record.generation)
                found.append(record)
        return found

    async def _has_moved_on(self, subject: Subject, before: SubjectState) -> bool:
        """Whether an event has begun since: then some of the world was seen before it, and some after."""
        after = await self.ledger.subject(subject)
        return after is None or after.token != before.token

    async def _picture(self, handler: Handler, subject: Subject, state: SubjectState) -> Picture | None:
        generation = max(state.facets.values())
        given = Foreseen(generation, state.desired)
        try:
            data = handler.event.about(subject, dict(state.names))
            plan = await self.planner.plan_for(handler, subject, self.runtime.new_id(), data, given)
        except Exception as error:
            return _obstructed(subject, generation, result_of(error, None))
        changes = tuple(plan)
        return Picture(subject, generation, DriftState.DRIFTED if changes else DriftState.IN_SYNC, changes)


def reconciler(handlers: Mapping[str, Handler], kind: str) -> Handler | None:
    """The handler that brings subjects of a kind to what is desired of them."""
    return next((found for found in handlers.values() if found.event.reconciles and found.event.kind() == kind), None)


def _has_claimed(record: Record) -> bool:
    """Whether what is desired may be from the event: it has begun, and is no command."""
    event: type[EventData] | None = CATALOGUE.get(record.type or "")
    return record.started_at is not None and event is not None and bool(event.facets)


def _succeeded(record: Record) -> bool:
    return record.outcome is not None and record.outcome.kind is OutcomeKind.SUCCEEDED


def _what_failed(record: Record) -> str:
    outcome = record.outcome
    why = "" if outcome is None or outcome.reason is None else f" ({outcome.reason.value})"
    return f"event {record.event_id}, which desires it, has not succeeded{why}"


def _obstructed(subject: Subject, generation: int, ended: AttemptResult) -> Picture | None:
    """What a run that came to no plan says. None: a newer event has come in between. TransientError: it may pass."""
    match ended:
        case Failed(final=False, reason=reason, message=message) if reason is not Reason.INTERNAL_ERROR:
            raise TransientError(reason, message)
        case Failed(reason=reason, message=message) | PutOff(reason=reason, message=message):
            return Picture(subject, generation, DriftState.BLOCKED, reason=reason, problem=message)
        case _:
            return None
