"""Entries for people who look for some of them."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path

from agentd.audit.reading import Entry, FoundSegment, find, lines, parse


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; None is any. `kind` is a pattern such as `event.*`, `since` a time as entries have it."""

    event: str | None = None
    subject: str | None = None
    kind: str | None = None
    since: str | None = None

    def fits(self, entry: Entry) -> bool:
        """Whether the entry is one of them."""
        facts = entry.facts
        return (
            (self.event is None or self.event in _named(facts.get("event_id"), facts.get("event_ids")))
            and (self.subject is None or facts.get("subject") == self.subject)
            and (self.kind is None or fnmatchcase(entry.kind, self.kind))
            and (self.since is None or entry.time >= self.since)
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """The newest of the wanted entries, in the order of time; `unreadable` lines could not be looked at."""

    entries: Sequence[Entry]
    unreadable: int


def look_for(paths: Iterable[Path], wanted: Wanted, *, limit: int) -> Shown:
    """Read every entry, unverified, and keep the newest that are wanted. OSError: a path cannot be read."""
    unreadable = 0

    def entries() -> Iterator[Entry]:
        nonlocal unreadable
        for segment in _once(find(paths)):
            with segment.path.open("rb") as file:
                for line in lines(file):
                    entry = parse(line.data)
                    if entry is None:
                        unreadable += 1
                    elif wanted.fits(entry):
                        yield entry

    newest = heapq.nlargest(limit, entries(), key=lambda entry: (entry.time, entry.replica, entry.seq))
    return Shown(tuple(reversed(newest)), unreadable)


def _once(segments: Sequence[FoundSegment]) -> Iterator[FoundSegment]:
    """Of segments that are there more than once, one each."""
    for _, copies in groupby(segments, key=lambda segment: (segment.chain, segment.number)):
        yield next(copies)


def _named(one: object, several: object) -> Sequence[object]:
    return [one, *(several if isinstance(several, list) else ())]
