"""What people on the customer's side have said in the ledger, heard by every replica within seconds."""

from collections.abc import Mapping

from agentd.bus import Intake
from agentd.core import AgentError, AuditKind, AuditLog, Runtime
from agentd.dispatch.policy import BudgetConfig, BudgetState, Pause, budget, intake
from agentd.events import moment
from agentd.ledger import Ledger, Variable
from agentd.telemetry import Health, Metrics, get_logger

log = get_logger("app")

_PREFIX = "control/"
_LOOK_S = 30.0


class Controls:
    """Keeps intake shut while somebody has paused it, and until the ledger has been asked for the first time."""

    def __init__(
        self,
        ledger: Ledger,
        valve: Intake,
        config: BudgetConfig,
        *,
        audit: AuditLog,
        runtime: Runtime,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._ledger = ledger
        self._valve = valve
        self._config = config
        self._audit = audit
        self._runtime = runtime
        self._metrics = metrics
        self._pulse = health.pulse("controls")
        self._pause: Pause | None = None
        self._budget = BudgetState()
        valve.pause("operator")

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._pulse.beat("asking the ledger", within_s=_LOOK_S)
            try:
                self._heed(await self._ledger.variables(_PREFIX))
            except AgentError as error:
                log.warning("controls.unheard", error=error.message)
            else:
                self._pulse.succeeded()
            self._pulse.beat("sleeping", within_s=self._config.watch_s)
            await self._runtime.sleep(self._config.watch_s)

    def warnings(self) -> tuple[str, ...]:
        """What somebody has stopped, or should look at."""
        return tuple(warning for warning in (self._paused_warning(), self._budget_warning()) if warning)

    def _heed(self, said: Mapping[str, Variable]) -> None:
        variables = {name: variable.value for name, variable in said.items()}
        self._heed_pause(Pause.read(variables.get(intake.VARIABLE)))
        self._heed_budget(BudgetState.read(variables.get(budget.VARIABLE)))

    def _heed_pause(self, pause: Pause | None) -> None:
        if pause is None:
            self._valve.resume("operator")
        else:
            self._valve.pause("operator")
        if pause is not None and pause != self._pause:
            self._note("intake.paused", by=pause.by, why=pause.why)
        elif pause is None and self._pause is not None:
            self._note("intake.resumed")
        self._pause = pause

    def _heed_budget(self, state: BudgetState) -> None:
        limit, stopped = self._config.destructive_steps, state.stopped_at is not None
        if stopped and self._budget.stopped_at is None:
            self._note("budget.stopped", destructive_steps=limit, window_s=self._config.window_s)
        if state.released is not None and state.released != self._budget.released:
            self._note("budget.released", by=state.released.by, steps=state.released.steps)
        self._budget = state
        if limit is not None:
            self._metrics.budget_stopped.set(int(stopped))
            self._metrics.budget_left.set(state.left(limit, self._config.window_s, self._runtime.now()))

    def _note(self, what: str, **facts: object) -> None:
        """A change since the last look; after a restart, what there is already."""
        log.warning(what, **facts)
        self._audit.append(AuditKind.CONTROL, what=what, **facts)

    def _paused_warning(self) -> str | None:
        if self._pause is None:
            return None
        return f"intake was paused by {self._pause.by} at {_text(self._pause.at)}: {self._pause.why}"

    def _budget_warning(self) -> str | None:
        if self._budget.stopped_at is None or self._config.destructive_steps is None:
            return None
        done = f"{self._config.destructive_steps} within {self._config.window_s:g} s had been done"
        return f"destructive steps wait for `agentd budget release` since {_text(self._budget.stopped_at)}: {done}"


def _text(seconds: float) -> str:
    return moment(seconds).isoformat(timespec="seconds")
