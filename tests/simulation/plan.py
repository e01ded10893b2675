"""A run as explicit data: everything that a seed decides beforehand, element by element, so that it can be shrunk."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from agentd.core import Subject
from agentd.events import EventData
from tests.simulation.disk import DiskFault
from tests.simulation.queues import QueueFault, QueueSettings
from tests.simulation.world import Fault

E = TypeVar("E")
Json = Any  # a JSON value, in the shape of its own event


class Sort(StrEnum):
    """What the control plane, or whoever can send, has made of a message."""

    VALID = "valid"
    MALFORMED = "malformed"
    UNKNOWN = "unknown type"
    OTHER_AUDIENCE = "for another agent"
    EXPIRED = "expired"
    ALTERED = "the same id with other content"
    RIVAL = "the same generation under another id"


@dataclass(frozen=True, slots=True)
class Intent:
    """A message as it was written. `like` is the intent that an altered or rival one resembles.

    `equal` says that it asks for what the generation before it has asked for as well. `kept` is its data in the object
    store, when it travels by claim check.
    """

    number: int
    sort: Sort
    event_id: str
    subject: Subject
    generation: int
    data_class: type[EventData]
    data: Mapping[str, Json]
    text: str
    like: int | None = None
    equal: bool = False
    kept: bytes | None = None

    def __str__(self) -> str:
        what = self.data_class.type.removeprefix("conveyor.").removesuffix(".v1")
        name = next((value for key, value in self.data.items() if key.endswith("_name")), "")
        about = f"{what} {name} g{self.generation} ({self.event_id[:8]}, {self.subject.uuid[:8]})"
        about += ", by claim check" if self.kept is not None else ""
        return about if self.sort is Sort.VALID else f"{about}, {self.sort}"


@dataclass(frozen=True, slots=True)
class Send:
    """The control plane sends a message. `dedupe` tells a FIFO queue whether it has had it."""

    at_s: float
    intent: Intent
    dedupe: str

    def __str__(self) -> str:
        return f"{self.at_s:.1f} s: the control plane sends {self.intent}"


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody else does something in the world: `what` is a method of its people. It waits for what it needs."""

    at_s: float
    what: str
    arguments: tuple[tuple[str, Json], ...]

    def __str__(self) -> str:
        return f"{self.at_s:.1f} s: {self.what} {', '.join(str(value) for _, value in self.arguments)}"


@dataclass(frozen=True, slots=True)
class Redrive:
    """The operator sends dead letters back, each with this chance."""

    at_s: float
    share: float

    def __str__(self) -> str:
        return f"{self.at_s:.1f} s: the operator redrives {self.share:.0%} of the dead letters"


class MishapKind(StrEnum):
    """What may come over a replica."""

    CRASH = "crash"
    """It ends in the middle, without a word; another process takes its place after `lasts_s`."""
    PAUSE = "pause"
    """It stands still for `lasts_s`."""
    TERM = "term"
    """It is told to stop (SIGTERM); another process takes its place `lasts_s` after its end."""
    ABORT = "abort"
    """It is told to stop twice."""
    SKEW = "skew"
    """Its wall clock jumps to `skew_s` from the true time."""


class Moment(StrEnum):
    """What the number of a mishap counts."""

    SECONDS = "s"
    STEPS = "steps"
    COMMITS = "commits"
    WRITES = "writes"
    SENDS = "sends"
    DELETES = "deletes"
    RECEIVES = "receives"


@dataclass(frozen=True, slots=True)
class Mishap:
    """Something comes over a replica: at a time, or after so many of its own steps, or right after an effect."""

    kind: MishapKind
    replica: int
    moment: Moment
    count: float
    lasts_s: float = 0.0
    skew_s: float = 0.0
    wakes_after_s: float | None = None
    """Of a pause: it ends so long after somebody else has taken a subject of the replica's over, if that comes first."""
    at_last: bool = False
    """Of an abort: it is told to stop for the second time when its grace period ends, and stands still just then."""

    def __str__(self) -> str:
        woken = "" if self.wakes_after_s is None else f", or until {self.wakes_after_s:.1f} s after it is taken over"
        what = {
            MishapKind.PAUSE: f"pause of {self.lasts_s:.1f} s{woken}",
            MishapKind.SKEW: f"clock {self.skew_s:+.1f} s",
        }.get(self.kind, f"{self.kind}, back after {self.lasts_s:.1f} s")
        return f"replica {self.replica} after {self.count:.0f} {self.moment}: {what}"


Element = Send | Act | Redrive | Mishap | QueueFault | DiskFault | Fault


@dataclass(frozen=True, slots=True)
class Setup:
    """The installation: how many replicas, which queue, which settings. Rates are shares of one."""

    replicas: int
    commands: QueueSettings
    stickiness: float
    skew_s: tuple[float, ...]
    bus: Mapping[str, Json]
    dispatch: Mapping[str, Json]
    reports: Mapping[str, Json]
    max_attempts: int
    retry_cap_s: float
    grace_s: float
    namespace_end_s: float
    ends_with_redrive: bool
    ends_with_echo: bool
    ends_with_restart: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. Troubles end at `healthy_from_s`; elements have names, by which they can be taken away."""

    seed: int
    profile: str
    setup: Setup
    healthy_from_s: float
    elements: Mapping[str, Element]
    intents: Sequence[Intent]
    removed: tuple[str, ...] = field(default=())

    def of(self, kind: type[E]) -> list[E]:
        """All elements of a kind, in order."""
        return [element for element in self.elements.values() if isinstance(element, kind)]

    def of_world(self) -> list[Fault]:
        """The faults of clouds and cluster."""
        return self.of(Fault)

    def without(self, names: Collection[str]) -> "Plan":
        """The plan but for some of its elements."""
        kept = {name: element for name, element in self.elements.items() if name not in names}
        gone = tuple(name for name in self.elements if name in names)
        return replace(self, elements=kept, removed=(*self.removed, *gone))

    def described(self) -> str:
        """For people."""
        setup = self.setup
        kind = "FIFO" if setup.commands.fifo else "standard"
        skews = ", ".join(f"{skew:+.1f}" for skew in setup.skew_s)
        head = f"seed {self.seed}, profile {self.profile}: {setup.replicas} replicas (clocks {skews} s), {kind} queue"
        lines = [
            f"{head}, quiet from {self.healthy_from_s:.0f} s",
            f"bus {dict(setup.bus)}, dispatch {dict(setup.dispatch)}, reports {dict(setup.reports)}",
            *(f"  {name:>4}  {element}" for name, element in self.elements.items()),
        ]
        return "\n".join(lines)
