"""When a rule lets events in: hours of days, in a time zone. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# A window opens within a week, or within so many days when it has dates of its own.
_MOST_DAYS_AHEAD = 400

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Dates:
    """From the first day to the last, both included; None leaves one end open."""

    first: date | None = None
    last: date | None = None

    def __contains__(self, day: date) -> bool:
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)

    def __str__(self) -> str:
        return f"{self.first or '...'} to {self.last or '...'}"


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of certain days. One that ends at or before its beginning ends on the next day; it is its first day's."""

    days: frozenset[int]
    opens: time
    closes: time
    dates: Dates

    def on(self, day: date, zone: ZoneInfo) -> tuple[float, float] | None:
        """When the window of a day opens and closes, in seconds since the epoch; None when that day has none."""
        if day.weekday() not in self.days or day not in self.dates:
            return None
        closing_day = day if self.closes > self.opens else day + timedelta(days=1)
        return _instant(day, self.opens, zone), _instant(closing_day, self.closes, zone)

    def __str__(self) -> str:
        days = ", ".join(name for number, name in enumerate(DAYS) if number in self.days)
        dates = "" if self.dates == Dates() else f", {self.dates}"
        return f"{days} {self.opens:%H:%M} to {self.closes:%H:%M}{dates}"


class Schedule:
    """The windows of a rule, in a time zone. It remembers the span that was open last: it is asked for every event."""

    def __init__(self, windows: Sequence[Window], zone: ZoneInfo) -> None:
        self.windows = tuple(windows)
        self._zone = zone
        self._open = (0.0, 0.0)

    def opens_at(self, now: float) -> float | None:
        """`now` while one of the windows is open; else when the next one opens; None when none does any more."""
        opened, closes = self._open
        if opened <= now < closes:
            return now
        span = self._next(now)
        if span is None:
            return None
        self._open = span
        return max(now, span[0])

    def _next(self, now: float) -> tuple[float, float] | None:
        """The span that is open, or the first that will be."""
        yesterday = datetime.fromtimestamp(now, self._zone).date() - timedelta(days=1)  # its windows may still be open
        for number in range(_MOST_DAYS_AHEAD):
            spans = self._spans(yesterday + timedelta(days=number))
            found = min((span for span in spans if span[1] > now), default=None)
            if found is not None:
                return found
        return None

    def _spans(self, day: date) -> Iterator[tuple[float, float]]:
        return (span for window in self.windows if (span := window.on(day, self._zone)) is not None)


def start_of(day: date, zone: ZoneInfo) -> float:
    """When a day begins, in seconds since the epoch."""
    return _instant(day, time.min, zone)


def _instant(day: date, at: time, zone: ZoneInfo) -> float:
    """An hour that a change of clocks skips is taken as if it had not; one that comes twice, the first time."""
    return datetime.combine(day, at, zone).timestamp()
