"""Times, sizes and lists as people say them."""

from collections.abc import Sequence

_MINUTE_S = 60.0
_HOUR_S = 3600.0
_DAY_S = 86_400.0
_UNITS = ((_DAY_S, "days"), (_HOUR_S, "h"), (_MINUTE_S, "min"))
_MIB = 1024**2
_GIB = 1024**3
_MOST_NAMED = 3


def duration(seconds: float) -> str:
    """30 s, 5 min, 2.5 h, 14 days."""
    for size, name in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} s"


def days(seconds: float) -> str:
    """The same for what is usually days: 4 days, 0.5 days."""
    return f"{seconds / _DAY_S:.3g} days" if seconds >= _HOUR_S else duration(seconds)


def size(number: float) -> str:
    """50 MiB, 2.5 GiB."""
    return f"{number / _GIB:.3g} GiB" if number >= _GIB else f"{number / _MIB:.3g} MiB"


def some(names: Sequence[str]) -> str:
    """a, b, c and 4 more."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
