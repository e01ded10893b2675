"""Goes through one chain, entry by entry, and says what is not as it was written."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agentd.audit.entries import NO_ENTRY, Head, LogKind, hash_of, prefix
from agentd.audit.reading import Entry, FoundSegment, RawLine, lines, parse
from agentd.audit.report import ChainReport, Problem, Verdict, gravest
from agentd.audit.signing import SegmentEnd, is_signed

_MOST_PROBLEMS = 20
_ANY = sys.maxsize
_OF_THE_LOG = b'"kind":"log.'
_COMPLETE = re.compile(rb',"hash":"[0-9a-f]{64}"}')


@dataclass(frozen=True, slots=True)
class Witness:
    """An entry that is known from elsewhere to have been there. `source` says from where."""

    head: Head
    source: str


class ChainCheck:
    """Is given the segments of a chain in order.

    After damage it goes on with the next entry that is sound in itself, so that each damage is told once: `_slack` is how
    many entries may be missing there because they have been told of.
    """

    def __init__(self, chain: str, witnesses: Sequence[Witness], keys: Sequence[Ed25519PublicKey]) -> None:
        self._chain = chain
        self._name = chain.encode()
        self._keys = keys
        self._awaited: dict[int, list[Witness]] = {}
        for witness in witnesses:
            self._awaited.setdefault(witness.head.seq, []).append(witness)
        self._verdict = Verdict.INTACT
        self._problems: list[Problem] = []
        self._more_problems = 0
        self._seq = 0
        self._prev = NO_ENTRY.encode()
        self._slack = 0
        self._segment: FoundSegment | None = None
        self._ended = self._final = False
        self._entries = self._signed = 0
        self._first = self._last = b""

    def segment(self, segment: FoundSegment, *, newest: bool) -> None:
        """The next segment. Only the newest one may have been cut off while it was written."""
        self._follow(segment)
        self._segment, self._ended, self._final = segment, False, False
        empty = True
        with segment.path.open("rb") as file:
            for line in lines(file):
                empty = False
                self._check(line, newest=newest)
        if empty:
            self._tell(Verdict.INCOMPLETE if newest else Verdict.TAMPERED, "is empty", segment.path)

    def tampered(self, what: str, file: Path | None = None, line: int | None = None) -> None:
        """Something is not as it was written."""
        self._tell(Verdict.TAMPERED, what, file, line)

    def report(self, *, segments: int) -> ChainReport:
        """What was found."""
        self._miss_witnessed()
        first, last = parse(self._first), parse(self._last)
        return ChainReport(
            self._chain,
            self._verdict,
            segments=segments,
            entries=self._entries,
            began=first.time if first else None,
            ended=last.time if last else None,
            head=str(Head(last.replica, last.seq, last.hash)) if last else None,
            closed=self._final,
            signed=self._signed,
            problems=tuple(self._problems),
            more_problems=self._more_problems,
        )

    # -- from segment to segment ---------------------------------------------------------------------------------------

    def _follow(self, segment: FoundSegment) -> None:
        before, number = self._segment, segment.number
        if before is None:
            if number > 1:
                self._tell(Verdict.INCOMPLETE, f"begins with segment {number}: those before it are not here")
                self._slack = _ANY
        elif number > before.number + 1:
            self.tampered(f"no file has the segments between {before.number} and {number}", segment.path)
            self._slack = _ANY
        elif self._final:
            self.tampered(f"comes after segment {before.number}, which was the last", segment.path)
        elif not self._ended and not self._slack:
            self.tampered(f"has lost its end: it is not closed, although segment {number} follows", before.path)
            self._slack = _ANY

    # -- from entry to entry -------------------------------------------------------------------------------------------

    def _check(self, line: RawLine, *, newest: bool) -> None:
        own = hash_of(line.data) if line.whole else None
        if own is not None and not self._slack and line.data.startswith(self._prefix()):
            self._accept(line, own)
        elif own is not None:
            self._find_place(line, own)
        elif line.whole:
            self._changed(line)
        else:
            self._cut_off(line, newest=newest)

    def _prefix(self) -> bytes:
        return prefix(self._seq + 1, self._name, self._prev)

    def _accept(self, line: RawLine, own: bytes) -> None:
        self._seq += 1
        self._prev = own
        self._slack = 0
        self._entries += 1
        self._last = line.data
        if self._entries == 1:
            self._first = line.data
        if self._ended:
            self._tamper(line, "comes after the file's last entry")
        for witness in self._awaited.pop(self._seq, ()):
            if witness.head.hash.encode() != own:
                self._tamper(line, f"entry {self._seq} is not the one that {witness.source} knows: it was rewritten")
        if line.number == 1 or _OF_THE_LOG in line.data:
            self._check_frame(line)

    def _find_place(self, line: RawLine, own: bytes) -> None:
        """An entry that is sound in itself, and not the one that should come."""
        entry, expected = parse(line.data), self._seq + 1
        if entry is None:
            self._changed(line)
            return
        if entry.replica != self._chain:
            self._tamper(line, f"belongs to chain {entry.replica}")
            return
        if entry.seq < expected:
            self._tamper(line, f"entry {entry.seq} is here again, or out of its place")
            return
        missing = entry.seq - expected
        if missing > self._slack:
            self._tamper(line, f"entries {expected} to {entry.seq - 1} are missing before this one")
        elif not missing and not self._slack:
            self._tamper(line, f"entry {entry.seq} does not follow the one before it: one of them has been replaced")
        self._seq = entry.seq - 1
        self._accept(line, own)

    def _changed(self, line: RawLine) -> None:
        entry = parse(line.data)
        named = "is no entry of the log" if entry is None else f"entry {entry.seq} has been changed"
        self._tamper(line, f"{named}: its hash does not fit")
        self._slack += 1

    def _cut_off(self, line: RawLine, *, newest: bool) -> None:
        """The file's last line has no break. NUL bytes are what a crash of the machine may leave for what was not written."""
        data = line.data.rstrip(b"\0")
        complete = _COMPLETE.search(data)
        verdict = Verdict.INCOMPLETE if newest else Verdict.TAMPERED
        if hash_of(data + b"\n") is not None:
            self._check(RawLine(line.number, data + b"\n", whole=True), newest=newest)
            self._tell(verdict, "lacks its line break", self._path, line.number)
        elif complete is not None or (newest and not self._may_begin(data)):
            self._changed(line)
        else:
            what = f"torn end: {len(line.data)} bytes after entry {self._seq}, of an entry that was not written whole"
            self._tell(verdict, what, self._path, line.number)
            self._slack = _ANY

    def _may_begin(self, data: bytes) -> bool:
        """Whether the next entry may begin like this."""
        begins = b'{"seq":' if self._slack else self._prefix()
        return data.startswith(begins) or begins.startswith(data)

    # -- first and last entries of segments ----------------------------------------------------------------------------

    def _check_frame(self, line: RawLine) -> None:
        entry = parse(line.data)
        kind = entry.kind if entry is not None else ""
        if (kind == LogKind.OPENED) != (line.number == 1):
            self._tamper(
                line, "is no first entry of a file" if line.number == 1 else "a second segment begins in the file"
            )
        if entry is not None and kind == LogKind.CLOSED:
            self._ended, self._final = True, entry.facts.get("final") is True
            self._check_signature(line, entry)

    def _check_signature(self, line: RawLine, entry: Entry) -> None:
        facts, signed = entry.facts, "signature" in entry.facts
        if self._keys:
            end = SegmentEnd(
                entry.replica, facts.get("segment", 0), facts.get("entries", 0), self._final, entry.seq, entry.prev
            )
            signed = is_signed(end, str(facts.get("signature")), self._keys)
            if not signed:
                self._tamper(line, "the end of the segment is not signed by any of the given keys")
        self._signed += signed

    # -- what was found ------------------------------------------------------------------------------------------------

    def _miss_witnessed(self) -> None:
        """Entries that are known to have been there, and are not."""
        first = parse(self._first)
        for witness in [each for seq in sorted(self._awaited) for each in self._awaited[seq]]:
            seq, source = witness.head.seq, witness.source
            if seq > self._seq:
                self.tampered(f"has been cut: it ends with entry {self._seq}, but {source} knows entry {seq}")
            elif first is None or seq < first.seq:
                self._tell(Verdict.INCOMPLETE, f"entry {seq}, which {source} knows, is not here")

    @property
    def _path(self) -> Path | None:
        return None if self._segment is None else self._segment.path

    def _tamper(self, line: RawLine, what: str) -> None:
        self._tell(Verdict.TAMPERED, what, self._path, line.number)

    def _tell(self, verdict: Verdict, what: str, file: Path | None = None, line: int | None = None) -> None:
        self._verdict = gravest((self._verdict, verdict))
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(Problem(verdict, self._chain, what, file, line))
        else:
            self._more_problems += 1
