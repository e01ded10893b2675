"""The documents' contents. Each is one thing that is read and written as a whole, and says what it becomes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol, Self

from agentd.core import LockMode
from agentd.ledger.judgement import Generation
from agentd.ledger.protocol import Claim, Json, StepRecord, Transition, Waiting

HISTORY_LIMIT = 200


class Shape(Protocol):
    """A document's content."""

    @classmethod
    def of(cls, content: Json) -> Self:
        """From JSON."""
        ...

    def json(self) -> Json:
        """As JSON. It may hold values that are none: the store's encoding says so."""
        ...


@dataclass(frozen=True, slots=True)
class _Flat:
    """A content whose fields are JSON values as they are."""

    @classmethod
    def of(cls, content: Json) -> Self:
        return cls(**content)

    def json(self) -> Json:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Admitted(_Flat):
    """What a record says for ever."""

    key: str
    event_id: str | None
    digest: str | None
    type: str | None
    subject: str
    generation: int | None
    event: str | None
    admitted_at: float
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Lease(_Flat):
    """A claim that has not been given back. `id` is what others refer to: no two leases have the same."""

    id: str
    subject: str
    token: int
    replica: str
    generation: int
    until: float
    preempted_by: str | None = None


@dataclass(frozen=True, slots=True)
class OpenEpoch:
    """An epoch that has not ended, with the lease on the subject while somebody works on it.

    `last_error_attempt` is the attempt that `last_error` is of: below `attempts` the last attempt ended without a word.
    `token` is the subject's at the last claim, nought before the first. `pending` is the id of a lease that is being taken
    in several steps. `counter` numbers the reports of a record that counts by itself. `history` is that of all epochs.
    """

    key: str
    epoch: int
    admitted_at: float
    attempts: int = 0
    changed: bool = False
    started_at: float | None = None
    last_error: str | None = None
    last_error_attempt: int = 0
    waiting: Waiting | None = None
    objects: tuple[str, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    history: tuple[Transition, ...] = ()
    lease: Lease | None = None
    token: int = 0
    pending: str | None = None
    counter: int = 0

    @classmethod
    def of(cls, content: Json) -> Self:
        """From JSON."""
        waiting, lease = content["waiting"], content["lease"]
        return cls(
            **content
            | {
                "waiting": None if waiting is None else Waiting(**waiting),
                "objects": tuple(content["objects"]),
                "steps": tuple(StepRecord(*step) for step in content["steps"]),
                "history": tuple(Transition(*change) for change in content["history"]),
                "lease": None if lease is None else Lease.of(lease),
            }
        )

    def json(self) -> Json:
        """As JSON."""
        steps = [(step.epoch, step.step, step.result, step.at) for step in self.steps]
        lists = {"objects": self.objects, "steps": steps, "history": _history_json(self.history)}
        return asdict(replace(self, objects=(), steps=(), history=())) | lists

    def noted(self, what: str, detail: str, *, at: float) -> Self:
        """With one more transition, and without those beyond the bound."""
        change = Transition(at=at, epoch=self.epoch, what=what, detail=detail)
        return replace(self, history=(*self.history, change)[-HISTORY_LIMIT:])

    def lease_of(self, claim: Claim) -> Lease | None:
        """The claim's lease, if nobody has taken it over, ended or not."""
        lease = self.lease
        if lease is None or claim.epoch != self.epoch:
            return None
        own = (lease.subject, lease.token, lease.replica) == (str(claim.subject), claim.token, claim.replica)
        return lease if own else None

    def valid_lease_of(self, claim: Claim, *, now: float) -> Lease | None:
        """The same, if it has not ended."""
        lease = self.lease_of(claim)
        return lease if lease is not None and lease.until > now else None


@dataclass(frozen=True, slots=True)
class EndedEpoch:
    """An epoch that has ended. The history and the counter are the record's, and go on with its next epoch."""

    epoch: int
    attempts: int
    changed: bool
    started_at: float | None
    last_error: str | None
    objects: tuple[str, ...]
    finished_at: float
    outcome: str
    reason: str | None
    message: str
    step: str | None
    result: Json
    report_id: str
    sequence: int
    history: tuple[Transition, ...]
    counter: int

    @classmethod
    def of(cls, content: Json) -> Self:
        """From JSON."""
        history = tuple(Transition(*change) for change in content["history"])
        return cls(**content | {"objects": tuple(content["objects"]), "history": history})

    def json(self) -> Json:
        """As JSON."""
        return asdict(replace(self, history=())) | {"history": _history_json(self.history)}


@dataclass(frozen=True, slots=True)
class PastEpochs:
    """The epochs that ended before the newest that has."""

    epochs: tuple[EndedEpoch, ...] = ()

    @classmethod
    def of(cls, content: Json) -> Self:
        """From JSON."""
        return cls(tuple(EndedEpoch.of(epoch) for epoch in content["epochs"]))

    def json(self) -> Json:
        """As JSON."""
        return {"epochs": [epoch.json() for epoch in self.epochs]}


@dataclass(frozen=True, slots=True)
class Ref:
    """Says that a record's lease holds a subject: for as long as that record's open epoch has the lease of this id."""

    key: str
    lease: str
    mode: LockMode = LockMode.WRITE


@dataclass(frozen=True, slots=True)
class SubjectEntry:
    """What is known of a subject. `token` grows for ever; nought before the first claim.

    `holder` refers to the lease on the subject, `locks` to others' that lock it; what they refer to may be over. `desired`
    is the write that what is desired of the subject is from. `deleting` is the key of the delete that has been claimed and
    has not ended, `covering` the newest delete claimed, `tombstone` the generation of the one that succeeded.
    """

    token: int = 0
    sequence: int = 0
    facets: Mapping[str, Generation] = field(default_factory=dict)
    covering: Generation | None = None
    tombstone: int | None = None
    deleting: str | None = None
    names: tuple[tuple[str, str], ...] = ()
    holder: Ref | None = None
    locks: tuple[Ref, ...] = ()
    desired: str | None = None

    @classmethod
    def of(cls, content: Json) -> Self:
        """From JSON."""
        covering, holder = content["covering"], content["holder"]
        return cls(
            **content
            | {
                "facets": {facet: Generation(*claimed) for facet, claimed in content["facets"].items()},
                "covering": None if covering is None else Generation(*covering),
                "names": tuple((kind, name) for kind, name in content["names"]),
                "holder": None if holder is None else _ref(holder),
                "locks": tuple(_ref(lock) for lock in content["locks"]),
            }
        )

    def json(self) -> Json:
        """As JSON."""
        facets = {facet: _generation_json(claimed) for facet, claimed in self.facets.items()}
        covering = None if self.covering is None else _generation_json(self.covering)
        holder = None if self.holder is None else _ref_json(self.holder)
        locks = [_ref_json(lock) for lock in self.locks]
        own = replace(self, facets={}, covering=None, holder=None, locks=())
        return asdict(own) | {"facets": facets, "covering": covering, "holder": holder, "locks": locks}


@dataclass(frozen=True, slots=True)
class Desired(_Flat):
    """What is desired of a subject, by facet; nothing is never desired."""

    facets: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NameOwner(_Flat):
    """The subject that a name belongs to."""

    subject: str


@dataclass(frozen=True, slots=True)
class Report(_Flat):
    """A report that waits: whose, and since when. Of two of the same time the one with the smaller `tick` is older."""

    report_id: str
    key: str
    epoch: int
    sequence: int
    at: float
    tick: int


@dataclass(frozen=True, slots=True)
class Pointer(_Flat):
    """A place in a list: of the record under this key, or of the subject of this name."""

    key: str


@dataclass(frozen=True, slots=True)
class Counts(_Flat):
    """A part of the counts; it may be negative, their sums are not."""

    finished: int = 0
    subjects: int = 0
    tombstones: int = 0

    def plus(self, *, finished: int = 0, subjects: int = 0, tombstones: int = 0) -> Self:
        """With so many more."""
        return replace(
            self,
            finished=self.finished + finished,
            subjects=self.subjects + subjects,
            tombstones=self.tombstones + tombstones,
        )


@dataclass(frozen=True, slots=True)
class SharedValue(_Flat):
    """A variable that is set."""

    name: str
    value: Json
    version: int


@dataclass(frozen=True, slots=True)
class Layout(_Flat):
    """How the documents are laid out: what a program must know to touch them."""

    version: int
    shards: int


def _history_json(history: tuple[Transition, ...]) -> Json:
    return [(change.at, change.epoch, change.what, change.detail) for change in history]


def _generation_json(claimed: Generation) -> Json:
    return (claimed.number, claimed.event_id)


def _ref(content: Json) -> Ref:
    key, lease, mode = content
    return Ref(key, lease, LockMode(mode))


def _ref_json(ref: Ref) -> Json:
    return (ref.key, ref.lease, ref.mode.value)
