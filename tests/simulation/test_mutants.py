"""The planted bugs: each fits the code as it is, and one of them is caught."""

from pathlib import Path

import pytest

from tests.simulation.invariants import CHECKERS
from tests.simulation.mutants.listing import Change, load, misfits, planted
from tests.simulation.mutants.planting import Search, Tree

ROOT = Path(__file__).parents[2]
MUTANTS = load()
KNOWN = (
    {checker.name for checker in CHECKERS} | {f"I{number}" for number in range(1, 12)} | {"alive", "health", "hot loop"}
)


def test_every_change_fits_the_code_exactly_once_and_leaves_python() -> None:
    assert misfits(MUTANTS, ROOT) == []


def test_there_are_enough_of_them_and_each_says_what_it_breaks() -> None:
    assert len(MUTANTS) >= 25
    assert all(mutant.breaks.endswith(".") and mutant.changes for mutant in MUTANTS)


def test_each_is_caught_by_checks_that_there_are() -> None:
    assert {name for mutant in MUTANTS for name in mutant.caught_by} <= KNOWN
    assert all(mutant.caught_by for mutant in MUTANTS)


def test_every_invariant_of_the_architecture_has_a_bug_that_breaks_it() -> None:
    assert {f"I{number}" for number in range(1, 12)} <= {name for mutant in MUTANTS for name in mutant.caught_by}


@pytest.mark.parametrize("text", ["", "one, and one more"])
def test_a_change_that_fits_not_once_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has its old text"):
        planted(text, Change("file.py", "one", "two"))


@pytest.mark.slow
def test_a_planted_bug_is_caught_in_a_copy_of_the_tree_which_passes_without_it() -> None:
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == "bus.ack-on-receive"]
    with Tree(ROOT) as tree:
        catch = tree.hunt(mutant, Search(seeds=5, cpu_s=30.0))
        failing = tree.failing({(mutant.profile, catch.seed)})
    assert (catch.by, catch.problem, failing) == ("I2", None, [])
