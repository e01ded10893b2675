"""The ledger's protocol. Every adapter keeps every sentence of it; the conformance suite holds them to it.

Keys. A record's key is `event/<event id>` once the event's signature has been verified, and `message/<message id>` of
the transport before that, so that nobody can burn a genuine event's id. An *epoch* starts at 1 and grows by one with each
redrive; attempts, journal and outcome are per (key, epoch).

Durability. When an operation returns, its effect survives a crash of the process and of the machine. Every operation is
one transaction: all of it or nothing, also when its caller is cancelled. Times are seconds since the epoch by the
caller's clock; the ledger has none of its own. A lease is valid while its `until` lies ahead of the caller's `now`.

Sequences. An event counts on its subject's counter; a message that was never verified counts on its own key, so that
nobody can move a genuine subject's numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from agentd.core import Lock, Outcome, Subject, lean

Json = Any  # a JSON value whose shape is its writer's own


class RecordState(StrEnum):
    """An event between admission and outcome is open."""

    OPEN = "open"
    FINISHED = "finished"


@lean(frozen=True, slots=True)
class Waiting:
    """Why an open event is not being worked on, and until when at least."""

    why: str
    message: str
    until: float


@lean(frozen=True, slots=True)
class Admission:
    """An event as it is first written down. `event` is the whole CloudEvent as JSON text, for explain and redrive."""

    key: str
    event_id: str
    digest: str
    type: str
    subject: Subject
    generation: int
    event: str
    expires_at: float | None
    now: float


@lean(frozen=True, slots=True)
class Record:
    """What the ledger knows of one event, in its current epoch.

    `started_at` is the first claim of the epoch, `last_error` the message of its last failed attempt, `objects` what it
    wrote to. `changed` says whether any attempt had to do something. `sequence` is the report's, once finished.
    """

    key: str
    event_id: str | None
    digest: str | None
    type: str | None
    subject: str
    generation: int | None
    event: str | None
    state: RecordState
    epoch: int
    attempts: int
    changed: bool
    admitted_at: float
    expires_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    last_error: str | None = None
    waiting: Waiting | None = None
    outcome: Outcome | None = None
    sequence: int | None = None
    objects: tuple[str, ...] = ()


@lean(frozen=True, slots=True)
class Claim:
    """A replica's right to work on an event: proof of the lease in every later call."""

    key: str
    epoch: int
    subject: Subject
    token: int
    replica: str


@lean(frozen=True, slots=True)
class ClaimRequest:
    """What a claim needs to be decided, all in one transaction.

    `facets` is what the event replaces; empty for a command, which is never superseded. `requires` are facets of which
    something must be desired already. `creates` lifts a tombstone, `deletes` sets one when it succeeds, pre-empts an older
    holder, and frees the subject's names. `names` are reserved as (kind, name). `locks` are held beside the write lock on
    the subject. `desired` is kept per facet as the subject's desired state; a delete desires nothing, and leaves what is
    desired as it is until it succeeds. `until` is when the lease ends. `epoch` None is the record's current one. With
    `admission`, an event that is not known yet is admitted first, in the same transaction, whatever the claim's answer.
    """

    key: str
    epoch: int | None
    event_id: str
    subject: Subject
    generation: int
    facets: frozenset[str]
    requires: frozenset[str]
    creates: bool
    deletes: bool
    names: tuple[tuple[str, str], ...]
    locks: tuple[Lock, ...]
    desired: Mapping[str, Json]
    replica: str
    max_attempts: int
    now: float
    until: float
    admission: Admission | None = None


@lean(frozen=True, slots=True)
class Claimed:
    """The lease is yours. `record` is as of now; `attempt` counts from 1 in its epoch; `journal` has the finished steps' results.

    The journal is empty once another event has claimed the subject since: what was done may have been undone. `sequence` is
    one taken from the subject's counter for progress reports of this attempt. `desired` is the subject's desired state by
    facet, each by the newest event that claimed it, and `generation` the newest generation that has been claimed of the
    subject: an event of several facets may come late for some of them.
    """

    claim: Claim
    record: Record
    attempt: int
    changed: bool
    journal: Mapping[str, Json]
    sequence: int
    generation: int
    desired: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Held:
    """A valid lease or a conflicting lock is in the way: whose, on what, until when."""

    by_key: str
    by_replica: str
    subject: str
    until: float


@dataclass(frozen=True, slots=True)
class Superseded:
    """A newer generation that covers all of the event's facets has been claimed."""

    by_event_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """The same generation of a facet has been claimed under another event id."""

    by_event_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """The subject has a tombstone and the event does not create."""

    generation: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing is desired yet of a facet that the event requires: what creates the subject has not come."""

    facet: str


@dataclass(frozen=True, slots=True)
class NameTaken:
    """The name belongs to another subject; `deleting` if that one's delete has been claimed and has not ended."""

    kind: str
    name: str
    by_subject: str
    deleting: bool


@dataclass(frozen=True, slots=True)
class Exhausted:
    """All attempts are used up. `last_error` is None when the last attempt ended without a word: it crashed."""

    attempts: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Finished:
    """The epoch has been brought to its end already."""

    record: Record


@dataclass(frozen=True, slots=True)
class OtherContent:
    """The key is known with another digest than that of the request's admission."""

    record: Record


ClaimResult = (
    Claimed | Held | Superseded | Conflict | Deleted | Missing | NameTaken | Exhausted | Finished | OtherContent
)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a claim would be given: the newest generation of the subject, and its desired state by facet."""

    generation: int
    desired: Mapping[str, Json]


Prospect = Foreseen | Superseded | Conflict | Deleted | Missing | NameTaken


@lean(frozen=True, slots=True)
class Renewal:
    """What became of one lease at a renewal. `preempted_by` is the key of a newer delete that waits."""

    valid: bool
    preempted_by: str | None = None


@lean(frozen=True, slots=True)
class Ending:
    """The end of an epoch, and the report that tells of it.

    `claim` is the proof of the lease, or None for an end that needs no work (rejected, superseded, ...). For a message
    that never became an admitted event, `key` is new and the record is made here; `event_id`, `type`, `subject` and
    `generation` then are what could be learnt of it. `report_id` is derived from event and epoch.
    """

    key: str
    epoch: int
    outcome: Outcome
    report_id: str
    now: float
    claim: Claim | None = None
    deletes: bool = False
    event_id: str | None = None
    digest: str | None = None
    type: str | None = None
    subject: str = ""
    generation: int | None = None
    event: str | None = None


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A report that waits to be sent: everything it says, as recorded with the outcome."""

    report_id: str
    sequence: int
    record: Record


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A finished step of an epoch."""

    epoch: int
    step: str
    result: Json
    at: float


@dataclass(frozen=True, slots=True)
class Transition:
    """One thing that happened to an event, for explain: admitted, claimed, waiting, attempt_failed, finished, redriven."""

    at: float
    epoch: int
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class SubjectState:
    """What is known of a subject. `held_by` may have ended; `events` are the keys of its newest 50, newest first."""

    subject: str
    token: int
    facets: Mapping[str, int]
    desired: Mapping[str, Json]
    tombstone: int | None
    names: tuple[tuple[str, str], ...]
    held_by: Held | None
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A small value that the replicas share. `version` changes with every change, and is never used twice for a name."""

    value: Json
    version: int


@dataclass(frozen=True, slots=True)
class LedgerStats:
    """Counts for `/status`, metrics and health. `leases` are those not given back, also when they have ended."""

    open_events: int
    finished_events: int
    outbox: int
    leases: int
    subjects: int
    tombstones: int
    oldest_open_at: float | None = None
    waiting: Mapping[str, int] = field(default_factory=dict)


class Ledger(Protocol):
    """The store of I1 to I5. Raises TransientError(unavailable) when the store does not answer."""

    async def lookup(self, key: str) -> Record | None:
        """The record under a key, in its current epoch."""
        ...

    async def admit(self, admission: Admission) -> Record:
        """Write the event down in epoch 1 unless its key is known; the stored record either way. Never overwrites."""
        ...

    async def reopen(self, key: str, *, epoch: int, now: float) -> Record:
        """Open the epoch after `epoch`, if `epoch` is the current one and finished as failed or rejected; else nothing changes.

        Returns the record as it then is. The journal, attempts and `changed` start afresh.
        """
        ...

    async def claim(self, request: ClaimRequest) -> ClaimResult:
        """Take the lease on the subject and all declared locks, or say what is in the way. All or nothing.

        Decided in this order: known with other content; the epoch is finished; superseded; conflict (same generation of a
        facet under another event id); deleted; a required facet missing; held (by a valid lease whose holder is another
        key or replica, or a conflicting lock); name taken; attempts used up. When claimed: the subject's token grows by
        one, the attempt is counted, the generation and desired state of each facet that is not newer are set, names are
        reserved, a create lifts the tombstone.
        A `deletes` request that is held marks an older holder of its own subject as pre-empted.
        Of several facets, only those whose claimed generation is not newer are taken over. A claimed delete counts for
        every facet of its subject; a create lifts the tombstone only if its generation is newer, and what older events
        have claimed is then desired no more.
        A claim by the same key, epoch and replica while its own lease is valid takes it over under a new token.
        """
        ...

    async def foresee(self, request: ClaimRequest) -> Prospect:
        """What generations, tombstone and names would say to the claim now. Nothing is written, and nobody is in the way."""
        ...

    async def renew(self, claims: Sequence[Claim], *, now: float, until: float) -> Sequence[Renewal]:
        """Extend the leases and their locks, in the order given. One that has ended or was taken over is not valid."""
        ...

    async def intend(self, claim: Claim, obj: str, *, stamp: bool, now: float) -> Renewal:
        """Note that the event is about to write to `obj`; unless `stamp`, that it had to change something."""
        ...

    async def record_step(self, claim: Claim, step: str, result: Json, *, now: float) -> Renewal:
        """Note a finished step and its result. Recorded only if the lease is valid."""
        ...

    async def release(self, claim: Claim, *, error: str | None, waiting: Waiting | None, now: float) -> None:
        """Give lease and locks back without an end. `error` is kept as the last one; without it the attempt is not counted.

        A lease that has been taken over meanwhile is left alone; one that has merely ended still has its last word.
        """
        ...

    async def wait(self, key: str, waiting: Waiting, *, now: float) -> None:
        """Note why an open event is put off. Nothing happens when it is finished or unknown."""
        ...

    async def finish(self, ending: Ending) -> Record:
        """Write outcome, sequence and report, release lease and locks, set tombstone, free names: one transaction.

        After a delete that succeeded nothing is desired of the subject any more, but what newer events have claimed: that
        waits for the create which brings the subject back.

        When the epoch is finished already, nothing changes. Else raises LeaseLost when `claim` is given and its lease has
        ended or been taken over, and when none is given while somebody holds a valid lease for the key.
        Returns the stored record either way; `changed` is true if any attempt intended a write.
        """
        ...

    async def repeat_report(self, key: str, *, now: float) -> None:
        """Put the report of a finished event into the outbox again, with its id and sequence, unless it still waits there."""
        ...

    async def outbox(self, limit: int) -> Sequence[OutboxEntry]:
        """The oldest reports not yet sent."""
        ...

    async def sent(self, report_ids: Sequence[str]) -> None:
        """Take sent reports out of the outbox."""
        ...

    async def history(self, key: str) -> Sequence[Transition]:
        """What happened to an event, oldest first; bounded to the newest 200."""
        ...

    async def steps(self, key: str) -> Sequence[StepRecord]:
        """The journal of the current epoch, oldest first; empty once it is finished."""
        ...

    async def find(self, text: str) -> Sequence[Record]:
        """Records whose key, event id or message id is `text`, or whose subject it is; newest first, at most 50."""
        ...

    async def subject(self, subject: Subject) -> SubjectState | None:
        """What is known of a subject."""
        ...

    async def wanted(self, *, after: str, limit: int) -> Sequence[str]:
        """Subjects in the order of their names, those behind `after`; at most `limit`, and none is left out before the last.

        Every one is among them of which something is desired, and that has not been deleted. Others may be.
        """
        ...

    async def events_of(self, subject: Subject, *, before: Record | None, limit: int) -> Sequence[Record]:
        """The subject's verified events, newest first; those that follow `before`, at most `limit`."""
        ...

    async def next_sequence(self, subject: Subject) -> int:
        """Take a number from the subject's counter, for a report that is about no event's end."""
        ...

    async def variable(self, name: str) -> Variable | None:
        """A shared variable; None when it is not set."""
        ...

    async def variables(self, prefix: str) -> Mapping[str, Variable]:
        """All variables whose name begins so, by name, in the order of their names; at most 1,000."""
        ...

    async def set_variable(self, name: str, value: Json, *, version: int | None) -> bool:
        """Compare and set: False, and nothing changes, unless the variable still has `version`, or is not set for None.

        The value None unsets it. Names are at most 200 characters of [A-Za-z0-9._/:-]; values at most 16 KiB of JSON.
        """
        ...

    async def stats(self) -> LedgerStats:
        """Counts over the whole ledger."""
        ...

    async def purge(self, *, finished_before: float) -> int:
        """Forget finished records (with their history) that ended before then and whose report has been sent.

        Tombstones, facets' generations and name reservations stay. Returns how many records went. They go in
        bounded transactions, so that nobody waits long; cancelled in between, some have gone and the rest are left.
        """
        ...

    async def close(self) -> None:
        """Finish what was begun and let go of the store."""
        ...
