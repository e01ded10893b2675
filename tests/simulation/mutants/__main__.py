"""`python -m tests.simulation.mutants`: plant every bug, and show which invariant catches it."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.simulation.mutants.listing import Mutant, load, misfits
from tests.simulation.mutants.planting import Catch, Search, Tree

ROOT = Path(__file__).parents[3]
_NAME, _CHECK = 42, 12
_MOST_TOLD = 150


def main() -> int:
    """The exit code: 1 when a bug is not caught, or a change does not fit the code any more."""
    options = _parser().parse_args()
    mutants = load()
    problems = misfits(mutants, ROOT)
    chosen = [mutant for mutant in mutants if all(part in mutant.name for part in options.only)]
    if not chosen:
        problems.append(f"no planted bug has {' and '.join(options.only)} in its name")
    if problems or options.check:
        _say("\n".join(problems) or f"{len(mutants)} planted bugs fit the code")
        return 1 if problems else 0
    with Tree(ROOT) as tree:
        if options.into is not None:
            tree.plant(chosen[0], options.into)
            return 0
        catches = list(_hunted(tree, chosen, Search(options.seeds, options.cpu_s), workers=options.workers))
        sound = _is_sound(tree, catches)
        if len(catches) == 1:
            _say(_hint(catches[0]))
    missed = [catch for catch in catches if catch.by is None]
    for catch in missed:
        _say(f"not caught: {catch.mutant.name}: {catch.mutant.breaks}")
    _say(f"{len(catches) - len(missed)} of {len(catches)} planted bugs are caught")
    return 0 if sound and not missed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="those with this in their name")
    parser.add_argument("--seeds", type=int, default=600, help="at most so many runs for each bug")
    parser.add_argument("--cpu-s", type=float, default=90.0, help="at most so many seconds of a core for each bug")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="bugs that are looked for at once")
    parser.add_argument("--into", type=Path, help="only make a copy of the code there, with the first of these bugs")
    parser.add_argument("--check", action="store_true", help="only see whether every change fits the code")
    return parser


def _hunted(tree: Tree, mutants: Sequence[Mutant], search: Search, *, workers: int) -> Iterator[Catch]:
    """All of them, in the order in which they are done, with a line for each."""
    _say(
        f"{'planted bug':<{_NAME}}  {'caught by':<{_CHECK}}  {'seed':>5}  {'runs':>5}  {'CPU':>6}  how, and what else was seen"
    )
    with ThreadPoolExecutor(workers) as pool:
        hunts = [pool.submit(tree.hunt, mutant, search) for mutant in mutants]
        for number, done in enumerate(as_completed(hunts), start=1):
            catch = done.result()
            _say(_line(catch))
            if sys.stdout.isatty():
                sys.stdout.write(f"{number} of {len(mutants)} ...\r")
                sys.stdout.flush()
            yield catch


def _line(catch: Catch) -> str:
    also = [f"{invariant} {count} times" for invariant, count in sorted(catch.others.items())]
    told = "; ".join(word for word in (catch.what[:_MOST_TOLD], *also, catch.problem) if word)
    name, by, seed = catch.mutant.name, catch.by or "-", "-" if catch.seed is None else str(catch.seed)
    return f"{name:<{_NAME}}  {by:<{_CHECK}}  {seed:>5}  {catch.tried:>5}  {catch.cpu_s:>5.1f}s  {told}"


def _hint(catch: Catch) -> str:
    """How to look at it."""
    profile = "" if catch.mutant.profile is None else f" --profile {catch.mutant.profile}"
    seed = "0" if catch.seed is None else str(catch.seed)
    return (
        f"to look at it: python -m tests.simulation.mutants --only {catch.mutant.name} --into FOLDER, and there "
        f"python -m tests.simulation --seed {seed}{profile}"
    )


def _is_sound(tree: Tree, catches: Sequence[Catch]) -> bool:
    """Whether the code without any of the bugs passes every run that has caught one."""
    runs = {(catch.mutant.profile, catch.seed) for catch in catches if catch.seed is not None}
    failed = tree.failing(runs)
    for profile, seed, what in failed:
        _say(f"seed {seed} of profile {profile or 'any'} fails without a bug as well: {what}")
    if not failed:
        _say(f"without a bug, each of these {len(runs)} runs passes")
    return not failed


def _say(line: str) -> None:
    sys.stdout.write(f"\033[K{line}\n" if sys.stdout.isatty() else f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
