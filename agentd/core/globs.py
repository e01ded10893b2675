"""Shell-style patterns over names, as customers write them: `*`, `?` and `[...]`."""

import re
from collections.abc import Iterable
from fnmatch import translate


def any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Matches, whole and case-sensitively, what one of the patterns does; nothing when there is no pattern."""
    return re.compile("|".join(translate(pattern) for pattern in patterns) or r"(?!)")
