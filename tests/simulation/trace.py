"""What happened in a run, in order: for its hash, and for people."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened: on the loop's clock, at which step, to whom."""

    at: float
    step: int
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.at:10.3f}  {self.step:>6}  {self.who:<8}  {self.what}"


class Trace:
    """The entries of one run."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, at: float, step: int, who: str, what: str) -> None:
        """Something has happened."""
        self.entries.append(Entry(at, step, who, what))

    def digest(self) -> str:
        """The same for two runs in which the same happened."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry.at!r} {entry.step} {entry.who} {entry.what}\n".encode(errors="backslashreplace"))
        return digest.hexdigest()[:16]


def shown(entries: Sequence[Entry], *, most: int) -> str:
    """The last entries as a table; of a longer list the middle is left out."""
    lines = [str(entry) for entry in entries]
    if len(lines) > most:
        lines = [*lines[: most // 4], f"            ... {len(lines) - most} lines ...", *lines[-(most - most // 4) :]]
    return "\n".join(["      time    step  who       what", *lines])
