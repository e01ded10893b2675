"""When events that found no room come back: one after the other, at the pace at which their flow makes room.

However many there are, no more of them are received at a time than could soon be taken in, so that a flood of one flow costs
the others next to nothing. A virtual schedule, as of the generic cell rate algorithm (ITU-T I.371), whose rate is measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agentd.core import Hold, Runtime
from agentd.events import Event

_GUESS_S = 0.05  # between two that leave, before any has been seen to
_SMOOTHING = 0.2
_EAGERNESS = 2.0  # so many come back for each that leaves: a lane should not run dry because of a wrong measure
_LATEST = 1.5  # spread from half to one and a half of the time
_MOST_FLOWS = 10_000
_MOST_AWAY = 1_000


@dataclass(slots=True)
class _Pace:
    """Of one flow: who was given back last comes back at `back_at`; every `interval_s` or so one of its events leaves."""

    back_at: float
    left_at: float | None = None
    interval_s: float = _GUESS_S


class Comebacks:
    """The schedules of all flows in which events found no room of late."""

    def __init__(self, runtime: Runtime, *, least_s: float, most_s: float) -> None:
        self._runtime = runtime
        self._least_s = least_s
        self._most_s = most_s
        self._paces: dict[str, _Pace] = {}

    def __len__(self) -> int:
        return len(self._paces)

    def delay_s(self, flow: str) -> float:
        """Seconds until one more event of the flow should be back."""
        now = self._runtime.monotonic()
        pace = self._paces.get(flow) or self._begin(flow, now)
        next_at = max(now + self._least_s, pace.back_at + pace.interval_s / _EAGERNESS)
        pace.back_at = min(next_at, now + self._most_s / _LATEST)
        # Queues count whole seconds: what was given back together would come back together.
        due_s = pace.back_at - now
        return max(self._least_s, (_LATEST - 1) * due_s + self._runtime.full_jitter(due_s))

    def left(self, flow: str, *, busy: bool) -> None:
        """An event has left its lanes; `busy`: others of its flow are still there."""
        pace = self._paces.get(flow)
        if pace is None:
            return
        now = self._runtime.monotonic()
        if pace.left_at is not None:
            pace.interval_s += (now - pace.left_at - pace.interval_s) * _SMOOTHING
        pace.left_at = now if busy else None

    def _begin(self, flow: str, now: float) -> _Pace:
        if len(self._paces) >= _MOST_FLOWS:
            del self._paces[next(iter(self._paces))]
        pace = self._paces[flow] = _Pace(back_at=now)
        return pace


class Away:
    """The newest events that were given back with no word to the ledger, until they should be here again."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._events: dict[str, tuple[Event, float]] = {}

    def goes(self, event: Event, delay_s: float) -> None:
        """The event has been given back."""
        self._events.pop(event.key, None)
        if len(self._events) >= _MOST_AWAY:
            del self._events[next(iter(self._events))]
        self._events[event.key] = event, self._runtime.monotonic() + delay_s

    def comes(self, event: Event) -> None:
        """It is here again."""
        self._events.pop(event.key, None)

    def status(self) -> list[Mapping[str, object]]:
        """As the dispatcher tells of the events that it holds."""
        now = self._runtime.monotonic()
        return [_describe(event) for event, back_at in self._events.values() if back_at > now]


def _describe(event: Event) -> Mapping[str, object]:
    return {
        "event_id": event.envelope.id,
        "type": event.envelope.type,
        "subject": event.envelope.subject,
        "generation": event.envelope.generation,
        "running_s": None,
        "step": None,
        "waits_for": Hold.LANE,
        "behind": None,
    }
