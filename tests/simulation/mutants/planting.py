"""A copy of the tree for each bug, and the runs in it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.simulation.mutants.listing import Mutant, planted

_PACKAGES = ("agentd", "handlers", "proxy", "tests")
_NOT_NEEDED = {"tests": ("conformance", "e2e", "servers", "unit", "test_*.py")}
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in memory, where there is one
_WALL_FACTOR = 8.0
"""A child that takes so many times its CPU time hangs, or the machine has other things to do."""


@dataclass(frozen=True, slots=True)
class Search:
    """How long a bug is looked for."""

    seeds: int
    cpu_s: float


@dataclass(slots=True)
class Catch:
    """What has become of one bug. `others` are violations of what it was not planted for."""

    mutant: Mutant
    by: str | None = None
    seed: int | None = None
    what: str = ""
    tried: int = 0
    cpu_s: float = 0.0
    problem: str | None = None
    others: Counter[str] = field(default_factory=Counter)


class Tree:
    """Copies of the code in a temporary folder, for as long as the block lasts."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None, prefix="planted-")
        self._sound = Path(self._folder.name, "sound")

    def __enter__(self) -> Self:
        for package in _PACKAGES:
            ignored = shutil.ignore_patterns("__pycache__", *_NOT_NEEDED.get(package, ()))
            shutil.copytree(self._root / package, self._sound / package, ignore=ignored)
        # What is compiled once serves all copies: only what a bug changes is compiled again.
        subprocess.run([sys.executable, "-m", "compileall", "-q", "."], cwd=self._sound, check=True)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def plant(self, mutant: Mutant, folder: Path) -> None:
        """Make a copy of the code with the bug. The folder must not be there yet."""
        shutil.copytree(self._sound, folder)
        for change in mutant.changes:
            path = folder / change.file
            path.write_text(planted(path.read_text(), change))

    def hunt(self, mutant: Mutant, search: Search) -> Catch:
        """Plant the bug in a copy of its own, and run seeds there until it is caught."""
        copy = Path(self._folder.name, mutant.name)
        self.plant(mutant, copy)
        catch = Catch(mutant)
        arguments = [f"--seeds={search.seeds}", *(f"--sought={name}" for name in mutant.caught_by)]
        if mutant.profile is not None:
            arguments.append(f"--profile={mutant.profile}")
        for line in _lines(copy, arguments, cpu_s=search.cpu_s):
            _take_in(catch, line)
        shutil.rmtree(copy)
        return catch

    def failing(self, runs: Collection[tuple[str | None, int | None]]) -> list[tuple[str | None, int, str]]:
        """Those of these runs that fail in the code as it is."""
        failed = []
        for profile in {profile for profile, _ in runs}:
            seeds = sorted(seed for known, seed in runs if known == profile and seed is not None)
            arguments = [f"--only={seed}" for seed in seeds] + ([f"--profile={profile}"] if profile else [])
            lines = _lines(self._sound, arguments, cpu_s=60.0 + len(seeds))
            failed += [
                (profile, line["seed"], f"{line['invariant']}: {line['what']}") for line in lines if "seed" in line
            ]
        return failed


def _lines(folder: Path, arguments: Sequence[str], *, cpu_s: float) -> Iterator[dict[str, Any]]:
    """What a hunt in the folder tells; a last line with `problem` when it does not come to its end."""
    command = [sys.executable, "-m", "tests.simulation.mutants.hunt", f"--cpu-s={cpu_s}", *arguments]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(folder)}
    problem = None
    with (folder / "told").open("w+") as told, (folder / "errors").open("w+") as errors:
        try:
            subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdout=told,
                stderr=errors,
                timeout=cpu_s * _WALL_FACTOR,
                check=True,
            )
        except subprocess.CalledProcessError:
            errors.seek(0)
            problem = errors.read().strip().rpartition("\n")[2]
        except subprocess.TimeoutExpired:
            problem = "does not come to its end"
        told.seek(0)
        yield from map(json.loads, told)
    if problem is not None:
        yield {"problem": problem}


def _take_in(catch: Catch, line: dict[str, Any]) -> None:
    if "tried" in line:
        catch.tried, catch.cpu_s = line["tried"], line["cpu_s"]
    elif "problem" in line:
        catch.problem = line["problem"]
    elif line["invariant"] in catch.mutant.caught_by:
        catch.by, catch.seed, catch.what = line["invariant"], line["seed"], line["what"]
    else:
        catch.others[line["invariant"]] += 1
