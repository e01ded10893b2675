"""The blast radius: at most so many destructive steps in any stretch of time, over all replicas; then somebody has to look.

Once the budget is used up it stays so, also when the stretch has passed, until a person releases it. What has been counted
for an event and an object is not counted again when the event is tried again. Other work goes on.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from agentd.core import NotReady, Reason, Runtime
from agentd.dispatch.policy.config import BudgetConfig
from agentd.dispatch.policy.counting import MOST_COUNTED, Count, change, name_of
from agentd.ledger import Ledger
from agentd.telemetry import get_logger

Json = Any  # a variable's value, as this module writes it

# Asked before each step of deleting an object, with the event's id and the object's name. Raises NotReady(budget).
Spend = Callable[[str, str], Awaitable[None]]

log = get_logger("policy")

VARIABLE = "control/budget"


@dataclass(frozen=True, slots=True)
class Release:
    """Somebody's word to go on. `steps` is how many may be done in the stretch that follows; None is the usual number."""

    by: str
    at: float
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What has been spent since the last release, and before it. `stopped_at` is set while steps wait for a release."""

    spent: Count = field(default_factory=Count)
    before: Count = field(default_factory=Count)
    stopped_at: float | None = None
    released: Release | None = None

    @classmethod
    def read(cls, value: Json) -> Self:
        """From JSON; None is a budget that nothing was taken from."""
        if value is None:
            return cls()
        released = Release(**value["released"]) if value["released"] else None
        return cls(Count.read(value["spent"]), Count.read(value["before"]), value["stopped_at"], released)

    def json(self) -> Json:
        """As JSON."""
        return {
            "spent": self.spent.json(),
            "before": self.before.json(),
            "stopped_at": self.stopped_at,
            "released": asdict(self.released) if self.released else None,
        }

    def left(self, limit: int, window_s: float, now: float) -> int:
        """Steps that may be done now."""
        if self.stopped_at is not None:
            return 0
        begins = now - window_s
        if self.released is not None and self.released.at > begins:
            limit = self.released.steps or limit
        return max(0, limit - len(self.spent.since(begins)))

    def spend(self, name: str, limit: int, window_s: float, now: float) -> tuple["BudgetState", bool]:
        """Whether one more step may be done, and the state then."""
        spent, before = self.spent.since(now - window_s), self.before.since(now - window_s)
        if name in spent or name in before:
            return self, True
        if self.left(limit, window_s, now):
            return replace(self, spent=spent.plus(name, now), before=before.newest(MOST_COUNTED - len(spent) - 1)), True
        return (self if self.stopped_at is not None else replace(self, stopped_at=now)), False

    def release(self, release: Release) -> "BudgetState":
        """Go on: counting begins anew, and what was counted is still known."""
        before = Count(self.before.uses + self.spent.uses).newest(MOST_COUNTED)
        return BudgetState(before=before, released=release)


async def spend_freely(_event_id: str, _obj: str) -> None:
    """No budget: nothing is counted."""


class Budget:
    """The budget of an installation. Without a limit nothing is counted."""

    def __init__(self, config: BudgetConfig, ledger: Ledger, runtime: Runtime) -> None:
        self._config = config
        self._ledger = ledger
        self._runtime = runtime

    async def spend(self, event_id: str, obj: str) -> None:
        """Ask before each destructive call on `obj`. NotReady(budget) when it has to wait for a release."""
        limit, window_s = self._config.destructive_steps, self._config.window_s
        if limit is None:
            return
        name, now = name_of(event_id, obj), self._runtime.now()

        def step(value: Json) -> tuple[Json, bool]:
            state, granted = BudgetState.read(value).spend(name, limit, window_s, now)
            return state.json(), granted

        if not await change(self._ledger, self._runtime, VARIABLE, step):
            log.error("budget.used_up", object=obj, destructive_steps=limit, window_s=window_s)
            raise NotReady(
                f"{obj} is not touched: {limit} destructive steps within {window_s:g} s have been done; "
                "look whether they were meant, then: agentd budget release",
                reason=Reason.BUDGET,
            )


async def state_of(ledger: Ledger) -> BudgetState:
    """What has been spent."""
    variable = await ledger.variable(VARIABLE)
    return BudgetState.read(None if variable is None else variable.value)


async def release(ledger: Ledger, runtime: Runtime, *, by: str, steps: int | None) -> BudgetState:
    """Let destructive steps go on; what the budget was before."""
    said = Release(by, runtime.now(), steps)

    def step(value: Json) -> tuple[Json, BudgetState]:
        before = BudgetState.read(value)
        return before.release(said).json(), before

    return await change(ledger, runtime, VARIABLE, step)
