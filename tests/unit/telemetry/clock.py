"""A monotonic clock that the test sets."""

from agentd.core import Runtime, system_runtime


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def runtime(self) -> Runtime:
        """A replica's clock and dice; its monotonic clock is this one."""
        return _ClockedRuntime(self)


class _ClockedRuntime(Runtime):
    __slots__ = ("clock",)

    def __init__(self, clock: Clock) -> None:
        runtime = system_runtime()
        super().__init__(wall=runtime.wall, random=runtime.random)
        object.__setattr__(self, "clock", clock)

    def monotonic(self) -> float:
        clock: Clock = self.clock  # type: ignore[attr-defined]  # a slot that the base class does not know
        return clock.seconds
