"""Some runs of every kind, all that have ever failed, and that a seed is a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.simulation.__main__ import failed_seeds
from tests.simulation.draw import draw
from tests.simulation.plan import Plan
from tests.simulation.profiles import PROFILES
from tests.simulation.runner import run
from tests.simulation.shrink import shrink

ROOT = Path(__file__).parents[2]
SEEDS = 40


def test_every_invariant_holds_in_some_runs_of_every_kind_and_in_all_that_have_failed() -> None:
    each = [(number, profile) for number, profile in enumerate(PROFILES)]
    cases = [*failed_seeds(), *each, *((seed, None) for seed in range(SEEDS - len(each)))]
    summary = run(iter(cases), workers=2, most_s=None, stop_at=None, progress=None)
    assert [(failure.seed, failure.profile, failure.what) for failure in summary.failures] == []
    assert summary.seeds == len(cases)
    assert summary.profiles.keys() == PROFILES.keys()


def test_a_seed_is_the_same_run_in_another_process_with_other_hashes() -> None:
    def digest(hash_seed: str) -> str:
        command = [sys.executable, "-m", "tests.simulation", "--seeds=4", "--from=700", "--workers=1", "--json"]
        told = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, check=False
        )
        return str(json.loads(told.stdout)["digest"])

    assert digest("1") == digest("2")


def test_a_plan_loses_everything_that_its_failure_does_not_need() -> None:
    plan = draw(3, "everything")
    needed = {list(plan.elements)[1], list(plan.elements)[-1]}

    def fails(candidate: Plan) -> bool:
        return needed <= candidate.elements.keys()

    shrunk = shrink(plan, fails)
    assert shrunk.plan.elements.keys() == needed
    assert set(shrunk.plan.removed) == plan.elements.keys() - needed


def test_what_is_taken_from_a_plan_changes_nothing_else_of_it() -> None:
    plan = draw(5, "everything")
    first = next(iter(plan.elements))
    rest = plan.without([first])
    assert rest.elements == {name: element for name, element in plan.elements.items() if name != first}
    assert (rest.setup, rest.intents, rest.removed) == (plan.setup, plan.intents, (first,))
