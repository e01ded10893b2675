"""Counting over replicas in a sliding stretch of time, each thing once. A count is a variable of the ledger."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from agentd.core import Reason, Runtime, TransientError
from agentd.ledger import Ledger

Json = Any  # a variable's value, as its writer made it
T = TypeVar("T")

MOST_COUNTED = 400
"""Things that one count can hold: their names and times fit into a variable."""

_TRIES = 20
_PAUSE_S = 0.05


def name_of(*parts: str) -> str:
    """A short name for a thing, the same on every replica and at every try."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Count:
    """Things that have been counted, with when, in seconds since the epoch."""

    uses: tuple[tuple[str, int], ...] = field(default=())

    @classmethod
    def read(cls, value: Json) -> Self:
        """From JSON; None is an empty one."""
        return cls(tuple((name, at) for name, at in value or ()))

    def json(self) -> Json:
        """As JSON."""
        return [[name, at] for name, at in self.uses]

    def since(self, moment: float) -> "Count":
        """What was counted after then."""
        return Count(tuple(use for use in self.uses if use[1] > moment))

    def __contains__(self, name: str) -> bool:
        return any(name == counted for counted, _ in self.uses)

    def __len__(self) -> int:
        return len(self.uses)

    def plus(self, name: str, now: float) -> "Count":
        """With one more."""
        return Count((*self.uses, (name, int(now))))

    def newest(self, most: int) -> "Count":
        """The last so many."""
        return Count(self.uses[max(0, len(self.uses) - most) :])


@dataclass(frozen=True, slots=True)
class Full:
    """There is no room. `free_at`: when there is, in seconds since the epoch."""

    free_at: float


def take(count: Count, name: str, *, limit: int, window_s: float, now: float) -> tuple[Count, Full | None]:
    """Count a thing unless it is counted already; Full when as many as the limit have been within the window. Pure."""
    recent = count.since(now - window_s)
    if name in recent:
        return recent, None
    if len(recent) < limit:
        return recent.plus(name, now), None
    return recent, Full(recent.uses[len(recent) - limit][1] + window_s)


async def change(ledger: Ledger, runtime: Runtime, name: str, step: Callable[[Json], tuple[Json, T]]) -> T:
    """Compare and set until it succeeds: `step` makes of a variable's value the next one, and what to return.

    None is the value of one that is not set. TransientError(unavailable): too many others change it at the same time.
    """
    for _ in range(_TRIES):
        variable = await ledger.variable(name)
        value, version = (None, None) if variable is None else (variable.value, variable.version)
        changed, result = step(value)
        if changed == value or await ledger.set_variable(name, changed, version=version):
            return result
        await runtime.sleep(runtime.full_jitter(_PAUSE_S))
    raise TransientError(Reason.UNAVAILABLE, f"the ledger's variable {name} changes too often to be counted with")
