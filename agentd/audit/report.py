"""What a verification found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Verdict(StrEnum):
    """Of a problem, a chain, or everything; later ones are graver."""

    INTACT = "intact"
    INCOMPLETE = "incomplete"
    """Something is not here, or the very end was not written whole: a crash or a download in part leaves that."""
    TAMPERED = "tampered"
    """Something is not as it was written: no crash does that."""


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest; intact when there is none."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.INTACT)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where. Without a file it is about the chain as a whole."""

    verdict: Verdict
    chain: str
    what: str
    file: Path | None = None
    line: int | None = None

    @property
    def where(self) -> str:
        """The place, as editors know it."""
        if self.file is None:
            return f"chain {self.chain}"
        return str(self.file) if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class ChainReport:
    """One chain.

    `verdict` is the gravest of its problems, those that are only counted included. `head` is the last entry that was read,
    as CHAIN:SEQ:HASH; `closed` says whether its replica told its end. `signed` segments have a signature; one that holds,
    if keys were given.
    """

    chain: str
    verdict: Verdict
    segments: int = 0
    entries: int = 0
    began: str | None = None
    ended: str | None = None
    head: str | None = None
    closed: bool = False
    signed: int = 0
    problems: Sequence[Problem] = ()
    more_problems: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was looked at."""

    chains: Sequence[ChainReport]
    files: int
    bytes: int

    @property
    def entries(self) -> int:
        """Of all chains."""
        return sum(chain.entries for chain in self.chains)

    @property
    def verdict(self) -> Verdict:
        """The gravest of all; nothing at all is incomplete."""
        return gravest(chain.verdict for chain in self.chains) if self.chains else Verdict.INCOMPLETE
