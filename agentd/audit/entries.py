"""How the log is spelt. Pure.

One entry a line: a JSON object with the members seq, replica, prev, time, kind, facts and hash, in this order. `hash` is the
SHA-256 of every byte of the line before `,"hash":`, and `prev` the hash of the entry before. So no reader needs a canonical
form, and no byte can change unnoticed. A replica's start has one chain, which goes on from file to file (segments).
"""

import re
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Self

from agentd.core import lean

FORMAT = 1
NO_ENTRY = "0" * 64
"""What stands for the hash before a chain's first entry."""
HASH_MARK = b',"hash":"'
LINE_END = b'"}\n'
TAIL_BYTES = len(HASH_MARK) + 64 + len(LINE_END)
"""A line ends with so many bytes that its hash is not taken over; the hash is among them."""
MOST_LINE_BYTES = 64 * 1024

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_HEAD = re.compile(r"([A-Za-z0-9._-]+):([1-9][0-9]{0,18}):([0-9a-f]{64})")


class LogKind(StrEnum):
    """Entries that the log makes of itself, beside those of `AuditKind`."""

    OPENED = "log.opened"
    """First of every segment."""
    CLOSED = "log.closed"
    """Last of every segment that was closed."""


@lean(frozen=True, slots=True)
class Head:
    """An entry, and with it all before it: whoever knows it can tell whether the log has been cut or rewritten before it."""

    chain: str
    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.chain}:{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From CHAIN:SEQ:HASH. Raises ValueError."""
        found = _HEAD.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no CHAIN:SEQ:HASH")
        return cls(found[1], int(found[2]), found[3])


@lean(frozen=True, slots=True)
class Line:
    """An entry as it is written, with its line break."""

    segment: int
    seq: int
    data: bytes

    @property
    def hash(self) -> str:
        """Its own."""
        return self.data[-TAIL_BYTES + len(HASH_MARK) : -len(LINE_END)].decode()


class Chain:
    """The entries of one replica's start, in order."""

    def __init__(self, replica: str) -> None:
        self.name = chain_name(replica)
        self.segment = 0
        self.seq = 0
        self.hash = NO_ENTRY
        self.segment_entries = 0
        self.segment_bytes = 0

    @property
    def head(self) -> Head:
        """The last entry."""
        return Head(self.name, self.seq, self.hash)

    def begin_segment(self) -> None:
        """The next entry is the first of a new segment."""
        self.segment += 1
        self.segment_entries = self.segment_bytes = 0

    def add(self, kind: str, facts: bytes, *, at: float) -> Line:
        """The next entry. `facts` is a JSON object, `at` seconds since the epoch."""
        begins = prefix(self.seq + 1, self.name.encode(), self.hash.encode())
        body = b'%b"time":"%b","kind":"%b","facts":%b' % (begins, _rfc3339(at), kind.encode(), facts)
        self.hash = sha256(body).hexdigest()
        self.seq += 1
        line = Line(self.segment, self.seq, body + HASH_MARK + self.hash.encode() + LINE_END)
        self.segment_entries += 1
        self.segment_bytes += len(line.data)
        return line


def prefix(seq: int, chain: bytes, prev: bytes) -> bytes:
    """How the line of an entry begins."""
    return b'{"seq":%d,"replica":"%b","prev":"%b",' % (seq, chain, prev)


def hash_of(line: bytes) -> bytes | None:
    """The hash that a whole line should have, if it has it; None otherwise."""
    stated = line[-TAIL_BYTES + len(HASH_MARK) : -len(LINE_END)]
    if not line.endswith(LINE_END) or line[-TAIL_BYTES : -TAIL_BYTES + len(HASH_MARK)] != HASH_MARK:
        return None
    return stated if sha256(line[:-TAIL_BYTES]).hexdigest().encode() == stated else None


def chain_name(replica: str) -> str:
    """The replica's name as it may stand in files' names and keys."""
    return _NOT_IN_NAMES.sub("-", replica).lstrip(".") or "-"


def _rfc3339(at: float) -> bytes:
    second, fraction = divmod(at, 1)
    return b"%b.%06dZ" % (_second(int(second)), int(fraction * 1e6))


@lru_cache(maxsize=4)
def _second(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6].encode()
