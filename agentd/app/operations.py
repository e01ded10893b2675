"""What the proxy may ask of the agent, answered by this replica's own parts."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentd import __version__
from agentd.app import telling
from agentd.app.accounts import account_of
from agentd.app.names import name
from agentd.app.parts import Parts, Replica
from agentd.bus import DeadLetterEntry, DeadLetters, Done, Outgoing
from agentd.core import (
    AgentVersion,
    DeadLetterAccount,
    NameAccount,
    PermanentError,
    Reason,
    RedriveAccount,
    Subject,
    TransientError,
)
from agentd.dispatch import reconciler
from agentd.events import encode
from agentd.events.reports import moment
from agentd.platform import ClusterReader

Json = Any  # a JSON value whose shape is its source's own

_REDRIVES_PER_S = 50.0


class AgentOperations:
    """Implements `agentd.core.Operations`."""

    def __init__(self, replica: Replica, cluster: ClusterReader | None) -> None:
        self._replica = replica
        self._cluster = cluster

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

    async def explain(self, text: str) -> NameAccount:
        """What the text names: what the cluster and the ledger know, and what this replica holds, or has given back."""
        parts, now = self._parts, self._replica.runtime.now()
        owner_id = self._replica.settings.owner_id
        named = await name(text, ledger=parts.ledger, cluster=self._cluster, owner_id=owner_id, now=now)
        works = [*parts.dispatcher.given_back(), *parts.dispatcher.status()]
        return account_of(named, works, replica=self._replica.name, now=now)

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

    async def reconcile(self, subject: Subject, *, planhash: str, actor: str) -> str:
        """An event on the commands queue, signed with the agent's own key if it has one. It goes the way of every event."""
        parts = self._parts
        state = await parts.ledger.subject(subject)
        handler = reconciler(self._replica.handlers, subject.kind)
        if state is None or handler is None:
            raise PermanentError(Reason.UNSUPPORTED, f"nothing is known of how {subject} should be")
        event_id = self._replica.runtime.new_id()
        data = handler.event.about(subject, dict(state.names)).model_dump(mode="json", exclude={"plan"})
        generation = max(state.facets.values())
        asked = self._own_event(handler.event.type, event_id, subject, generation, planhash=planhash, actor=actor)
        body = parts.boundary.seal(encode(asked, data))
        (answer,) = await parts.queues.commands.send([Outgoing(body=body, group=str(subject), dedupe_id=event_id)])
        if not isinstance(answer, Done):
            raise TransientError(Reason.UNAVAILABLE, f"the commands queue did not take the event: {answer.message}")
        return event_id

    def _own_event(
        self, event_type: str, event_id: str, subject: Subject, generation: int, *, planhash: str, actor: str
    ) -> Mapping[str, Json]:
        """The envelope of an event that the agent asks of itself."""
        settings = self._replica.settings
        return {
            "specversion": "1.0",
            "id": event_id,
            "source": settings.source,
            "type": event_type,
            "subject": str(subject),
            "time": moment(self._replica.runtime.now()).isoformat(),
            "tenantid": settings.tenant_id,
            "clusterid": settings.cluster_id,
            "generation": generation,
            "actor": actor,
            "planhash": planhash,
        }

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
