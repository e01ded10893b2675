"""What goes wrong, as plain data: a plan that can be drawn from dice, printed, and made smaller element by element."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Self, TypeVar

T = TypeVar("T")

ECR, IAM, KUBERNETES = "ecr", "iam", "kubernetes"
SERVICES = (ECR, IAM, KUBERNETES)
ANY, READS, WRITES = "*", "reads", "writes"
_SHORTEST_DELAY_S = 0.1
# How late the services show a change: ECR nearly at once, IAM within some seconds.
_LONGEST_STALE_S = MappingProxyType({ECR: 2.0, IAM: 10.0})


class FaultKind(StrEnum):
    """How a call fares that a fault meets."""

    SLOW = "slow"
    """The answer takes `delay_s` longer."""
    THROTTLED = "throttled"
    """Refused with the provider's own code. Nothing happens."""
    UNAVAILABLE = "unavailable"
    """A fault of the server's. Nothing happens."""
    DENIED = "denied"
    """The caller lacks the right. Nothing happens, and the agent fails the event for good."""
    RESET_BEFORE = "reset_before"
    """The connection breaks. Nothing happens."""
    RESET_AFTER = "reset_after"
    """It happens, then the connection breaks."""
    TIMEOUT_BEFORE = "timeout_before"
    """There is never an answer. Nothing happens."""
    TIMEOUT_AFTER = "timeout_after"
    """It happens. There is never an answer."""
    LATE = "late"
    """The connection breaks; it happens `delay_s` later, whatever has become of the caller."""
    STALE = "stale"
    """Of ECR and IAM: the call is judged by the state of `delay_s` ago."""


DELAYED = frozenset({FaultKind.SLOW, FaultKind.LATE, FaultKind.STALE})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: `times` calls (None: all) from `start_s` to `end_s` of the world's time are met."""

    kind: FaultKind
    service: str
    calls: str = ANY
    """`*`, `reads`, `writes`, or one operation: `CreateRole`, `patch configmaps`."""
    replica: str | None = None
    """Whose calls; anybody's when None."""
    start_s: float = 0.0
    end_s: float = math.inf
    times: int | None = 1
    delay_s: float = 0.0

    def meets(self, *, replica: str, service: str, operation: str, is_write: bool) -> bool:
        """Whether it is about such a call."""
        return (
            self.service == service
            and self.replica in (None, replica)
            and self.calls in (ANY, WRITES if is_write else READS, operation)
        )


EVEN: Mapping[FaultKind, int] = MappingProxyType(
    {
        FaultKind.SLOW: 3,
        FaultKind.THROTTLED: 3,
        FaultKind.UNAVAILABLE: 2,
        FaultKind.RESET_BEFORE: 2,
        FaultKind.RESET_AFTER: 4,
        FaultKind.TIMEOUT_BEFORE: 1,
        FaultKind.TIMEOUT_AFTER: 2,
        FaultKind.LATE: 5,
        FaultKind.STALE: 3,
    }
)
"""Weights: what may have had its effect unseen is what breaks agents, so it comes most often. Nothing is final."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How bad it may get."""

    horizon_s: float = 300.0
    """Faults begin before; from then on the world is healthy."""
    most: int = 12
    """Faults of a plan, from none to so many."""
    replicas: Sequence[str] = ()
    """Half of the faults are of one of these alone."""
    kinds: Mapping[FaultKind, int] = field(default_factory=lambda: EVEN)
    services: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SERVICES, 1))
    longest_delay_s: float = 90.0
    longest_s: float = 30.0
    """Of one fault that lasts."""


@dataclass(frozen=True, slots=True)
class Faults:
    """A plan. From `healthy_from_s` on nothing goes wrong any more, and what was late has come."""

    items: tuple[Fault, ...] = ()
    healthy_from_s: float = math.inf

    @classmethod
    def draw(cls, rng: random.Random, profile: Profile) -> Self:
        """A plan of a profile; the same dice, the same plan."""
        items = tuple(_draw(rng, profile) for _ in range(rng.randint(0, profile.most)))
        return cls(items, profile.horizon_s)

    def without(self, *numbers: int) -> Self:
        """The plan but for some of its elements."""
        return replace(self, items=tuple(item for number, item in enumerate(self.items) if number not in numbers))


HEALTHY = Faults()


def _draw(rng: random.Random, profile: Profile) -> Fault:
    service = _weighed(rng, profile.services)
    kind = _weighed(rng, {kind: weight for kind, weight in profile.kinds.items() if _is_possible(kind, service)})
    start_s = rng.uniform(0, profile.horizon_s)
    lasts = rng.random() < 1 / 4
    return Fault(
        kind=kind,
        service=service,
        calls=_calls(rng, kind),
        replica=rng.choice(profile.replicas) if profile.replicas and rng.random() < 1 / 2 else None,
        start_s=start_s,
        end_s=start_s + rng.uniform(1, profile.longest_s) if lasts else math.inf,
        times=None if lasts else rng.randint(1, 4),
        delay_s=_delay(rng, _longest_s(kind, service, profile)) if kind in DELAYED else 0.0,
    )


def _calls(rng: random.Random, kind: FaultKind) -> str:
    """What comes late matters of writes alone."""
    return WRITES if kind is FaultKind.LATE else rng.choice((ANY, READS, WRITES))


def _delay(rng: random.Random, longest_s: float) -> float:
    """Short ones are as likely as long ones, whatever the longest is."""
    return math.exp(rng.uniform(math.log(_SHORTEST_DELAY_S), math.log(longest_s)))


def _longest_s(kind: FaultKind, service: str, profile: Profile) -> float:
    return _LONGEST_STALE_S[service] if kind is FaultKind.STALE else profile.longest_delay_s


def _is_possible(kind: FaultKind, service: str) -> bool:
    return kind is not FaultKind.STALE or service != KUBERNETES


def _weighed(rng: random.Random, weights: Mapping[T, int]) -> T:
    return rng.choices(list(weights), list(weights.values()))[0]
