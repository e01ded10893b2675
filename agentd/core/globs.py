"""Shell-style patterns over names, as customers write them: `*`, `?` and `[...]`."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Self


@dataclass(frozen=True, slots=True)
class Globs:
    """Some patterns. `match` is true of a value that one of them fits, whole and case-sensitively."""

    patterns: tuple[str, ...]
    match: Callable[[str], object] = field(compare=False, repr=False)

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Self:
        """Compiled once: `match` is on the hot path."""
        given = tuple(patterns)
        compiled = re.compile("|".join(translate(pattern) for pattern in given) or r"(?!)")
        return cls(given, compiled.match)

    def __str__(self) -> str:
        return ", ".join(self.patterns)
