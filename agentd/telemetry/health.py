"""Health means progress: every loop beats whenever it iterates, also after a failed call or in a backoff."""

from collections.abc import Callable
from dataclasses import dataclass

from agentd.core import Runtime


@dataclass(slots=True)
class Pulse:
    """One loop's signs of life. `late_after_s`: how long it may go without an iteration before liveness fails."""

    loop: str
    late_after_s: float
    runtime: Runtime
    beaten_at: float
    succeeded_at: float

    def beat(self) -> None:
        """The loop has iterated, whatever came of it."""
        self.beaten_at = self.runtime.monotonic()

    def succeeded(self) -> None:
        """The loop has done its work; counts as a beat too."""
        self.beaten_at = self.succeeded_at = self.runtime.monotonic()

    @property
    def progress_age_s(self) -> float:
        """Seconds since the last beat."""
        return self.runtime.monotonic() - self.beaten_at

    @property
    def success_age_s(self) -> float:
        """Seconds since the last success."""
        return self.runtime.monotonic() - self.succeeded_at

    @property
    def late(self) -> bool:
        """Whether liveness should fail because of this loop."""
        return self.progress_age_s > self.late_after_s


class Health:
    """All pulses, invariant checks and readiness of one process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pulses: dict[str, Pulse] = {}
        self._invariants: dict[str, Callable[[], str | None]] = {}
        self._readiness: dict[str, Callable[[], str | None]] = {}

    def pulse(self, loop: str, *, late_after_s: float) -> Pulse:
        """A new loop's pulse; `stopped` takes it off again when the loop ends as it should."""
        if loop in self._pulses:
            raise ValueError(f"loop {loop!r} has a pulse already")
        now = self._runtime.monotonic()
        self._pulses[loop] = Pulse(loop, late_after_s, self._runtime, now, now)
        return self._pulses[loop]

    def stopped(self, pulse: Pulse) -> None:
        """The loop has ended on purpose."""
        self._pulses.pop(pulse.loop, None)

    def invariant(self, name: str, check: Callable[[], str | None]) -> None:
        """A check that returns what is wrong, or None; liveness fails on it (I9)."""
        self._invariants[name] = check

    def readiness(self, component: str, check: Callable[[], str | None]) -> None:
        """A component that returns why it is not ready, or None."""
        self._readiness[component] = check

    def pulses(self) -> tuple[Pulse, ...]:
        """All pulses."""
        return tuple(self._pulses.values())

    def ailments(self) -> tuple[str, ...]:
        """Why the process is not live; empty when it is."""
        late = tuple(
            f"loop {pulse.loop} has not iterated for {pulse.progress_age_s:.1f} s (allowed: {pulse.late_after_s:g} s)"
            for pulse in self._pulses.values()
            if pulse.late
        )
        broken = tuple(f"{name}: {wrong}" for name, check in self._invariants.items() if (wrong := check()))
        return late + broken

    def unready(self) -> dict[str, str | None]:
        """Per component: why it is not ready, or None."""
        return {component: check() for component, check in self._readiness.items()}
