"""In the tree where a bug is planted: run one seed after the other, and tell what is found.

`python -m tests.simulation.mutants.hunt` runs in a process of its own. Each line that it writes is a JSON object: what a
run has violated, and in the end how many runs there were.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import agentd
from tests.simulation.runner import SEEDS_A_PROCESS, Outcome, play_one
from tests.simulation.stage import Stage, in_a_process

RAISED = "raised"
"""What a bug violates that breaks the stage itself."""


def hunt(
    seeds: Sequence[int], *, profile: str | None, cpu_s: float, sought: frozenset[str]
) -> Iterator[dict[str, object]]:
    """Run the seeds until one violates what is sought, or the time is used up. Yields every violation, then a sum."""
    tried, used_s = 0, 0.0
    for start in range(0, len(seeds), SEEDS_A_PROCESS):
        part = seeds[start : start + SEEDS_A_PROCESS]
        played = in_a_process(partial(_play, part, profile, sought, cpu_s - used_s))
        tried, used_s = tried + len(played), used_s + sum(outcome.cpu_s for outcome in played)
        yield from (_told(outcome) for outcome in played if outcome.invariant is not None)
        if used_s > cpu_s or any(outcome.invariant in sought for outcome in played):
            break
    yield {"tried": tried, "cpu_s": used_s}


def _play(
    seeds: Sequence[int], profile: str | None, sought: frozenset[str], cpu_s: float, made: Stage
) -> list[Outcome]:
    """In one process: the first runs, up to one that violates what is sought."""
    played: list[Outcome] = []
    for seed in seeds:
        try:
            played.append(play_one((seed, profile), made))
        except Exception as error:
            played.append(Outcome(seed, profile or "", RAISED, repr(error), "", 0, 0.0, 0.0, {}))
        if played[-1].invariant in sought or sum(outcome.cpu_s for outcome in played) > cpu_s:
            break
    return played


def _told(outcome: Outcome) -> dict[str, object]:
    return {"seed": outcome.seed, "invariant": outcome.invariant, "what": outcome.what}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--only", type=int, action="append")
    parser.add_argument("--cpu-s", type=float, required=True)
    parser.add_argument("--sought", action="append", default=[])
    given = parser.parse_args()
    if not Path(agentd.__file__).is_relative_to(Path.cwd()):
        sys.exit(f"{agentd.__file__} is not of the tree in {Path.cwd()}")
    seeds = given.only or range(given.seeds)
    for line in hunt(seeds, profile=given.profile, cpu_s=given.cpu_s, sought=frozenset(given.sought)):
        sys.stdout.write(f"{json.dumps(line)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
