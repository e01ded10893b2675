"""What the proxy may ask of the agent, answered by this replica's own parts."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentd import __version__
from agentd.app import telling
from agentd.app.parts import Parts, Replica
from agentd.bus import DeadLetterEntry, DeadLetters
from agentd.core import (
    AgentVersion,
    DeadLetterAccount,
    EventAccount,
    Happening,
    Reason,
    RedriveAccount,
    TransientError,
)
from agentd.dispatch import Explanation, explain

Json = Any  # a JSON value whose shape is its source's own

_REDRIVES_PER_S = 50.0


class AgentOperations:
    """Implements `agentd.core.Operations`."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def version(self) -> AgentVersion:
        """What runs."""
        settings = self._replica.settings
        return AgentVersion(
            version=__version__,
            replica=self._replica.name,
            tenant_id=settings.tenant_id,
            cluster_id=settings.cluster_id,
            owner_id=settings.owner_id,
            event_types=tuple(sorted(self._replica.handlers)),
        )

    async def status(self) -> Mapping[str, Json]:
        """The document of `/status`."""
        return await telling.status(self._replica)

    async def explain(self, text: str) -> Sequence[EventAccount]:
        """What became of the events that the text names."""
        found = await explain(self._parts.ledger, text, now=self._replica.runtime.now())
        return [_account(explanation) for explanation in found]

    async def dead_letters(self, *, limit: int) -> Sequence[DeadLetterAccount]:
        """Dead letters, with what the ledger knows of their events."""
        return [await self._dead_letter(entry) for entry in await self._letters.list(limit)]

    async def redrive(self, *, event_ids: Sequence[str], limit: int) -> RedriveAccount:
        """Back to the commands queue with them: from there they go the way of every event."""
        wanted = frozenset(event_ids)
        result = await self._letters.redrive(
            lambda entry: not wanted or any(entry.named(name) for name in wanted),
            rate_per_s=_REDRIVES_PER_S,
            limit=limit,
        )
        if result.failed:
            message_id, why = result.failed[0]
            raise TransientError(
                Reason.UNAVAILABLE,
                f"{len(result.failed)} dead letters could not be sent back, such as {message_id}: {why}",
            )
        return RedriveAccount(
            redriven=tuple(_event_id(entry.key) or entry.message_id for entry in result.redriven),
            looked_at=result.looked_at,
        )

    @property
    def _parts(self) -> Parts:
        if self._replica.parts is None:
            raise TransientError(Reason.UNAVAILABLE, "the agent is still starting", retry_after=1.0)
        return self._replica.parts

    @property
    def _letters(self) -> DeadLetters:
        queues = self._parts.queues
        return DeadLetters(queues.dead_letters, queues.commands, self._replica.runtime)

    async def _dead_letter(self, entry: DeadLetterEntry) -> DeadLetterAccount:
        record = await self._parts.ledger.lookup(entry.key) if entry.key else None
        return DeadLetterAccount(
            message_id=entry.message_id,
            key=entry.key,
            epoch=entry.epoch,
            event_id=record.event_id if record else _event_id(entry.key),
            type=record.type if record else None,
            subject=record.subject if record else None,
            outcome=entry.outcome,
            reason=entry.reason,
            message=entry.message,
            sent_at=entry.sent_at,
        )


def _event_id(key: str | None) -> str | None:
    """The event's id in a record's key; None for a message that is no event."""
    return key.removeprefix("event/") if key and key.startswith("event/") else None


def _account(explanation: Explanation) -> EventAccount:
    record, outcome = explanation.record, explanation.record.outcome
    reason = outcome.reason if outcome else None
    return EventAccount(
        key=record.key,
        event_id=record.event_id,
        type=record.type,
        subject=record.subject,
        generation=record.generation,
        state=record.state.value,
        epoch=record.epoch,
        attempts=record.attempts,
        changed=record.changed,
        verdict=explanation.verdict,
        outcome=outcome.kind.value if outcome else None,
        reason=reason.value if reason else None,
        reason_help=reason.help if reason else None,
        message=outcome.message if outcome else "",
        failing_step=outcome.step if outcome else None,
        admitted_at=record.admitted_at,
        finished_at=record.finished_at,
        objects=record.objects,
        steps=tuple(step.step for step in explanation.steps),
        happenings=tuple(Happening(item.at, item.epoch, item.what, item.detail) for item in explanation.transitions),
    )
