"""The customer's brake: whether events are taken in at all, as one person says for all replicas."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from agentd.core import Runtime
from agentd.dispatch.policy.counting import change
from agentd.ledger import Ledger

Json = Any  # a variable's value, as this module writes it

VARIABLE = "control/intake"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is taken in: who said so, why, and when."""

    by: str
    why: str
    at: float

    @classmethod
    def read(cls, value: Json) -> Self | None:
        """From JSON; None when intake is not paused."""
        return None if value is None else cls(**value)


async def pause(ledger: Ledger, runtime: Runtime, *, by: str, why: str) -> None:
    """Take nothing in from now on, on every replica. A pause that is there already is replaced."""
    said = asdict(Pause(by, why, runtime.now()))
    await change(ledger, runtime, VARIABLE, lambda _value: (said, None))


async def resume(ledger: Ledger, runtime: Runtime) -> Pause | None:
    """Take events in again; the pause that there was."""
    return await change(ledger, runtime, VARIABLE, lambda value: (None, Pause.read(value)))


async def paused(ledger: Ledger) -> Pause | None:
    """The pause that there is."""
    variable = await ledger.variable(VARIABLE)
    return None if variable is None else Pause.read(variable.value)
