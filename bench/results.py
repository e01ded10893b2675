"""What benchmarks are asked, and how their numbers are shown."""

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured, where scratch files go, and which contenders (all when none is named).

    `runs` and `messages` are of throughput, `events` those over which memory may grow.
    """

    folder: Path
    runs: int
    messages: int
    events: int
    quick: bool
    contenders: frozenset[str] = frozenset()

    def wants(self, contender: str) -> bool:
        """Whether this contender is measured."""
        return not self.contenders or contender in self.contenders

    def scratch(self, name: str) -> Path:
        """A new folder for one run's files."""
        folder = self.folder / name
        folder.mkdir()
        return folder

    def say(self, text: str) -> None:
        """Tell how far it is."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Table:
    """One table of results: a head and rows of text."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """As the documentation shows it."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def document(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def write_into(document: Path, name: str, tables: Sequence[Table], machine: str) -> None:
    """Put the tables into the document, between the two markers of the benchmark. ValueError when it has none."""
    begin, end = f"<!-- bench {name} -->", f"<!-- end {name} -->"
    text = document.read_text()
    if begin not in text or end not in text:
        raise ValueError(f"{document} has no place for {name}: it needs {begin} and {end}")
    shown = "\n\n".join(table.markdown() for table in tables)
    before, _, rest = text.partition(begin)
    document.write_text(f"{before}{begin}\n{shown}\n\nMeasured on {machine}.\n{end}{rest.partition(end)[2]}")


class Column:
    """Ways to write numbers."""

    @staticmethod
    def ms(seconds: float) -> str:
        """Milliseconds."""
        return f"{seconds * 1000:,.1f}"

    @staticmethod
    def spread(values: Sequence[float], digits: int) -> str:
        """The median, and the range that it comes from."""
        low, high = min(values), max(values)
        return f"{median(values):,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"
