"""The planted bugs, read from their files and compared with the code as it is."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLANTED = Path(__file__).with_name("planted")


@dataclass(frozen=True, slots=True)
class Change:
    """In one file, `old`, which is there exactly once, becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug. `breaks` says what holds no more, `caught_by` names the checks that are there to see it.

    `profile` is the kind of runs in which it shows; None: any.
    """

    name: str
    breaks: str
    caught_by: tuple[str, ...]
    changes: tuple[Change, ...]
    profile: str | None = None


def load(folder: Path = PLANTED) -> list[Mutant]:
    """All of them, in order; a file's name goes before the names in it."""
    return [_mutant(path.stem, found) for path in sorted(folder.glob("*.toml")) for found in _entries(path)]


def misfits(mutants: Sequence[Mutant], root: Path) -> list[str]:
    """What is wrong with the list: a name that comes twice, a change that fits nowhere, or that changes nothing."""
    names = Counter(mutant.name for mutant in mutants)
    twice = [f"{name}: listed {count} times" for name, count in names.items() if count > 1]
    return [*twice, *(problem for mutant in mutants for problem in _misfits(mutant, root))]


def planted(text: str, change: Change) -> str:
    """A file's text with the change. Raises ValueError when it does not fit exactly once."""
    count = text.count(change.old)
    if count != 1:
        raise ValueError(f"{change.file} has its old text {count} times: {change.old.strip().splitlines()[0].strip()}")
    return text.replace(change.old, change.new)


def _entries(path: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = tomllib.loads(path.read_text())["mutant"]
    return entries


def _mutant(group: str, found: dict[str, Any]) -> Mutant:
    """Raises TypeError or KeyError when something is missing, or is there and means nothing."""
    changes = tuple(Change(**change) for change in found.pop("change"))
    name, caught_by = f"{group}.{found.pop('name')}", tuple(found.pop("caught_by"))
    return Mutant(name=name, caught_by=caught_by, changes=changes, **found)


def _misfits(mutant: Mutant, root: Path) -> Iterator[str]:
    texts: dict[str, str] = {}
    for change in mutant.changes:
        path = root / change.file
        if not path.is_file():
            yield f"{mutant.name}: there is no {change.file}"
            continue
        before = texts.get(change.file) or path.read_text()
        try:
            texts[change.file] = planted(before, change)
        except ValueError as error:
            yield f"{mutant.name}: {error}"
            continue
        if texts[change.file] == before:
            yield f"{mutant.name}: {change.file} stays as it is"
    for file, text in texts.items():
        try:
            compile(text, file, "exec")
        except SyntaxError as error:
            yield f"{mutant.name}: {file} is no Python any more: {error}"
