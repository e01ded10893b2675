"""Reads files of the log as they are found: whole or damaged, on the agent's host or downloaded."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from agentd.audit.entries import MOST_LINE_BYTES, Head, LogKind, hash_of
from agentd.audit.folders import STORED, SUFFIX

Json = Any  # an entry's facts, in its writer's own shape

_MOST_LOOKED_AT = 10


@dataclass(frozen=True, slots=True)
class FoundSegment:
    """A file, and which segment of which chain it is. `found` are heads of other chains that its first entry names."""

    path: Path
    chain: str
    number: int
    found: tuple[Head, ...] = ()

    @property
    def number_in_name(self) -> int | None:
        """The number that it goes by; None when its name is none of the log's own."""
        return int(self.path.stem) if self.path.stem.isdecimal() else None


class RawLine(NamedTuple):
    """A line with its break, if it has one. Of one that is longer than any entry, only the beginning."""

    number: int
    data: bytes
    whole: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as its line says it; nothing of it has been checked."""

    seq: int
    replica: str
    prev: str
    time: str
    kind: str
    facts: Mapping[str, Json]
    hash: str


def find(paths: Iterable[Path]) -> Sequence[FoundSegment]:
    """The segments in folders, however deep, and of files, by chain and number. OSError: a path cannot be read."""
    files = {file.resolve(): file for path in paths for file in _files(path)}
    return sorted((_look_at(file) for file in files.values()), key=lambda each: (each.chain, each.number, each.path))


def lines(file: BinaryIO) -> Iterator[RawLine]:
    """Every line, in bounded memory."""
    number = 0
    while data := file.readline(MOST_LINE_BYTES):
        number += 1
        whole = data.endswith(b"\n")
        if not whole and len(data) == MOST_LINE_BYTES:
            whole = _skip_line(file)
        yield RawLine(number, data, whole)


def parse(data: bytes) -> Entry | None:
    """The entry in a line; None when it is none."""
    try:
        found = json.loads(data)
        return Entry(
            seq=int(found["seq"]),
            replica=str(found["replica"]),
            prev=str(found["prev"]),
            time=str(found["time"]),
            kind=str(found["kind"]),
            facts=dict(found["facts"]),
            hash=str(found["hash"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _files(path: Path) -> Iterable[Path]:
    if path.is_dir():
        return path.rglob(f"*{SUFFIX}")
    path.stat()  # or OSError
    return (path,)


def _look_at(path: Path) -> FoundSegment:
    """By its first entry; by its name and the entries after that when it is damaged."""
    with path.open("rb") as file:
        sound = [entry for line in islice(lines(file), _MOST_LOOKED_AT) if (entry := _sound(line)) is not None]
    if sound and sound[0].kind == LogKind.OPENED and isinstance(sound[0].facts.get("segment"), int):
        return FoundSegment(
            path, sound[0].replica, sound[0].facts["segment"], tuple(_heads(sound[0].facts.get("found")))
        )
    folder = path.parent.parent if path.parent.name == STORED else path.parent
    chain = sound[0].replica if sound else folder.resolve().name
    return FoundSegment(path, chain, int(path.stem) if path.stem.isdecimal() else 0)


def _sound(line: RawLine) -> Entry | None:
    return parse(line.data) if hash_of(line.data) is not None else None


def _heads(found: Json) -> Iterator[Head]:
    for text in found if isinstance(found, list) else ():
        with suppress(ValueError, TypeError):  # a writer that is not this one's
            yield Head.parse(text)


def _skip_line(file: BinaryIO) -> bool:
    """To the end of a line that is too long; whether it has one."""
    while data := file.readline(MOST_LINE_BYTES):
        if data.endswith(b"\n"):
            return True
    return False
