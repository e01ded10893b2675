"""Health means progress: every loop beats whenever it iterates, also after a failed call or in a backoff."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from agentd.core import Runtime
from agentd.telemetry.logs import get_logger

log = get_logger("telemetry")

Check = Callable[[], str | None]
Age = Callable[[], float | None]

LATE_AFTER_S = 10.0
"""How long a loop may be late, beyond the time that it said it would take: with two looks, liveness fails within 15 s."""


@dataclass(slots=True)
class Pulse:
    """One loop's signs of life.

    With each beat a loop says what comes next and how long that may take. Liveness fails when it is not back
    `late_after_s` after that.
    """

    loop: str
    late_after_s: float
    runtime: Runtime
    beaten_at: float
    succeeded_at: float
    within_s: float = 0.0
    doing: str = ""

    def beat(self, doing: str = "", *, within_s: float = 0.0) -> None:
        """The loop has iterated, whatever came of it. It does so again in `within_s`: a sleep's length, or a call's time-out."""
        self.beaten_at, self.within_s, self.doing = self.runtime.monotonic(), within_s, doing

    def succeeded(self) -> None:
        """The loop has done its work; a sign of life too, which leaves what the loop has said of itself as it is."""
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
    def allowed_s(self) -> float:
        """The age of the last beat from which on liveness fails."""
        return self.within_s + self.late_after_s

    @property
    def late(self) -> bool:
        """Whether liveness should fail because of this loop."""
        return self.progress_age_s > self.allowed_s


@dataclass(frozen=True, slots=True)
class LoopAges:
    """How long ago a loop last moved, and last succeeded."""

    loop: str
    progress_s: float
    success_s: float


@dataclass(frozen=True, slots=True)
class Checkup:
    """What one look has found. Never changes, so any thread may read it. `work`: the ages of the oldest work, by state."""

    ailments: tuple[str, ...] = ()
    loops: tuple[LoopAges, ...] = ()
    work: Mapping[str, float] = field(default_factory=dict)


class Health:
    """All pulses, invariant checks and readiness of one process. Used on the event loop alone, but for `checkup`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pulses: dict[str, Pulse] = {}
        self._invariants: dict[str, Check] = {}
        self._readiness: dict[str, Check] = {}
        self._ages: dict[str, Age] = {}
        self._suspected: frozenset[str] = frozenset()
        self._checkup = Checkup()

    @property
    def checkup(self) -> Checkup:
        """What the last look has found."""
        return self._checkup

    def pulse(self, loop: str, *, late_after_s: float = LATE_AFTER_S) -> Pulse:
        """A new loop's pulse; `stopped` takes it off again when the loop ends as it should."""
        if loop in self._pulses:
            raise ValueError(f"loop {loop!r} has a pulse already")
        now = self._runtime.monotonic()
        self._pulses[loop] = Pulse(loop, late_after_s, self._runtime, now, now)
        return self._pulses[loop]

    def stopped(self, pulse: Pulse) -> None:
        """The loop has ended on purpose."""
        self._pulses.pop(pulse.loop, None)

    def invariant(self, name: str, check: Check) -> None:
        """A check that returns what is wrong, or None; liveness fails on it (I9)."""
        self._invariants[name] = check

    def readiness(self, component: str, check: Check) -> None:
        """A component that returns why it is not ready, or None."""
        self._readiness[component] = check

    def oldest_work(self, state: str, age: Age) -> None:
        """Tells, in seconds, how old the oldest work in a state is; None when there is none."""
        self._ages[state] = age

    def pulses(self) -> tuple[Pulse, ...]:
        """All pulses."""
        return tuple(self._pulses.values())

    def ailments(self) -> tuple[str, ...]:
        """What is wrong at this moment, passing states included; empty when nothing is."""
        return tuple(wrong for _, wrong in self._findings())

    def look(self) -> Checkup:
        """Look at everything. An ailment is what this look and the one before have found: what is passing is none.

        So a loop that could not move while the event loop was blocked, or the process was stopped, has its turn first.
        """
        findings = dict(self._findings())
        self._checkup = Checkup(
            ailments=tuple(wrong for name, wrong in findings.items() if name in self._suspected),
            loops=tuple(
                LoopAges(pulse.loop, pulse.progress_age_s, pulse.success_age_s) for pulse in self._pulses.values()
            ),
            work={state: age() or 0.0 for state, age in self._ages.items()},
        )
        self._suspected = frozenset(findings)
        return self._checkup

    def unready(self) -> dict[str, str | None]:
        """Per component: why it is not ready, or None."""
        return {component: check() for component, check in self._readiness.items()}

    def _findings(self) -> Iterator[tuple[str, str]]:
        """What is wrong, by the name of what it is wrong with."""
        for pulse in self._pulses.values():
            if pulse.late:
                yield f"loop {pulse.loop}", _late(pulse)
        for name, check in self._invariants.items():
            if wrong := _checked(name, check):
                yield name, f"{name}: {wrong}"


def _late(pulse: Pulse) -> str:
    doing = f", since it began {pulse.doing}" if pulse.doing else ""
    return (
        f"loop {pulse.loop} has not iterated for {pulse.progress_age_s:.1f} s (allowed: {pulse.allowed_s:g} s){doing}"
    )


def _checked(name: str, check: Check) -> str | None:
    try:
        return check()
    except Exception as error:
        log.exception("health.check_failed", check=name)
        return f"the check itself failed with {type(error).__name__}; the log says more"
