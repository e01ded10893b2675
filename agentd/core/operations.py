"""What the proxy may ask of the agent itself. The composition root stands behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agentd.core.subject import Subject

Json = Any  # a JSON value whose shape is its source's own


@dataclass(frozen=True, slots=True)
class AgentVersion:
    """What runs. `event_types` are those that it has handlers for."""

    version: str
    replica: str
    tenant_id: str
    cluster_id: str
    owner_id: str
    event_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to an event. `at` in seconds since the epoch."""

    at: float
    epoch: int
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Presence:
    """What the replica that answers knows of an event that it holds at this moment.

    `running_s` is how long its handler has run; None while it waits. `hold` is then what for, from the closed set, and
    `behind` the event that goes before it.
    """

    replica: str
    running_s: float | None
    step: str | None
    hold: str | None
    behind: str | None


@dataclass(frozen=True, slots=True)
class EventAccount:
    """What became of one event, step by step. `verdict` is one sentence; times are seconds since the epoch.

    `admitted_at` is None for one that a replica holds and that is not written down yet. `hold` is why an open one waits,
    from the closed set, and `unblock` what would let it go on.
    """

    key: str
    event_id: str | None
    type: str | None
    subject: str
    generation: int | None
    state: str
    epoch: int
    attempts: int
    changed: bool
    verdict: str
    outcome: str | None
    reason: str | None
    reason_help: str | None
    message: str
    failing_step: str | None
    admitted_at: float | None
    finished_at: float | None
    objects: tuple[str, ...]
    steps: tuple[str, ...]
    happenings: tuple[Happening, ...]
    hold: str | None = None
    unblock: str = ""
    here: Presence | None = None
    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class OriginAccount:
    """How an object of the cluster leads back to its event: by `path`, from the object to one that carries the marks.

    The event made the last change of the content; `generation` is the newest that has claimed it. All but the path is None
    when no object on the way is the agent's own.
    """

    path: tuple[str, ...]
    subject: str | None
    generation: int | None
    event_id: str | None
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class SubjectAccount:
    """What is known of a subject: the generations claimed of its facets, who works on it, its names and its tombstone.

    `desired` are the facets of which something is desired. The holder is one whose lease is valid.
    """

    subject: str
    facets: Mapping[str, int]
    desired: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    tombstone: int | None
    held_by_key: str | None
    held_by_replica: str | None
    held_until: float | None


@dataclass(frozen=True, slots=True)
class NoticeAccount:
    """What holds up more than one event: why, from the closed set, what was found, and what would let them go on."""

    hold: str
    message: str
    unblock: str


@dataclass(frozen=True, slots=True)
class NameAccount:
    """What a text names: events, the newest first, and the subjects that they are about; of an object also its origin."""

    events: Sequence[EventAccount]
    subjects: Sequence[SubjectAccount] = ()
    notices: Sequence[NoticeAccount] = ()
    origin: OriginAccount | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterAccount:
    """One message of the dead-letter queue. `sent_at` in seconds since the epoch."""

    message_id: str
    key: str | None
    epoch: int | None
    event_id: str | None
    type: str | None
    subject: str | None
    outcome: str | None
    reason: str | None
    message: str | None
    sent_at: float | None


@dataclass(frozen=True, slots=True)
class RedriveAccount:
    """What a redrive did."""

    redriven: tuple[str, ...]
    """Event ids, or message ids where there is no event."""
    looked_at: int


class Operations(Protocol):
    """Answers about the agent, and the operations that change something: each becomes an event on the agent's own way.

    Raises AgentError: TransientError when the ledger or a queue does not answer.
    """

    def version(self) -> AgentVersion:
        """What runs."""
        ...

    async def status(self) -> Mapping[str, Json]:
        """The document of `/status`."""
        ...

    async def explain(self, text: str) -> NameAccount:
        """What an event id, a message id, a key, a subject or an object of the cluster names; empty when there is none such."""
        ...

    async def dead_letters(self, *, limit: int) -> Sequence[DeadLetterAccount]:
        """Messages of the dead-letter queue, at most `limit`."""
        ...

    async def reconcile(self, subject: Subject, *, planhash: str, actor: str) -> str:
        """Ask for an event that brings a subject back to what is desired of it, by this plan and no other; the event's id."""
        ...

    async def redrive(self, *, event_ids: Sequence[str], limit: int) -> RedriveAccount:
        """Send dead letters back to the commands queue, for a next epoch: those of the events, or of all when none is given."""
        ...
