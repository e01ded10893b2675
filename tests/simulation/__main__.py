"""The command line: `python -m tests.simulation --help`."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from random import SystemRandom

from tests.simulation.draw import draw
from tests.simulation.plan import Plan
from tests.simulation.profiles import PROFILES
from tests.simulation.runner import Case, Outcome, Summary, run
from tests.simulation.shrink import Shrunk, shrink
from tests.simulation.simulation import Result
from tests.simulation.stage import Stage, in_a_process
from tests.simulation.trace import shown

FAILED_SEEDS = Path(__file__).with_name("failed_seeds.txt")
_MOST_LINES = 120
_EXPLAINED = 3
_FRESH = 2**31


def main() -> int:
    """0 when every seed has passed."""
    options = _options()
    if options.seed is not None:
        return _one(options)
    summary = run(
        _cases(options),
        workers=options.workers,
        most_s=None if options.minutes is None else options.minutes * 60,
        stop_at=options.stop_at,
        progress=sys.stderr,
    )
    _report(summary, options)
    return 1 if summary.failures else 0


def failed_seeds() -> list[Case]:
    """Every seed that has ever failed, with its profile if it is not its own."""
    lines = FAILED_SEEDS.read_text(encoding="utf-8").splitlines()
    words = [line.partition("#")[0].split() for line in lines]
    return [(int(found[0]), found[1] if len(found) > 1 else None) for found in words if found]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=None, help="how many (1000; all that fit with --minutes)")
    parser.add_argument(
        "--from", dest="start", type=int, default=None, help="the first seed (0; a random one with --fresh)"
    )
    parser.add_argument("--fresh", action="store_true", help="begin at a random seed")
    parser.add_argument("--seed", type=int, help="this one alone, with its trace")
    parser.add_argument("--profile", choices=list(PROFILES), help="of this kind instead of the seed's own")
    parser.add_argument("--without", default="", help="names of elements to leave out of the plan, separated by commas")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--stop-at", type=int, default=5, help="stop when so many have failed")
    parser.add_argument("--trace", action="store_true", help="the whole trace of a single seed")
    parser.add_argument("--logs", action="store_true", help="what replicas log as well, of a single seed")
    parser.add_argument("--no-shrink", action="store_true", help="print failures as they are")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser.parse_args()


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    """All that have ever failed, then the wanted ones."""
    start = options.start if options.start is not None else SystemRandom().randrange(_FRESH) if options.fresh else 0
    fresh: Iterator[Case] = ((seed, options.profile) for seed in count(start))
    seeds = options.seeds if options.seeds is not None else 1000 if options.minutes is None else None
    return chain(failed_seeds(), fresh if seeds is None else islice(fresh, seeds))


def _one(options: argparse.Namespace) -> int:
    plan = draw(options.seed, options.profile).without([name for name in options.without.split(",") if name])
    result = in_a_process(partial(_play, plan, logs=options.logs))
    sys.stdout.write(
        f"{plan.described()}\n{shown(result.trace.entries, most=10**6 if options.trace else _MOST_LINES)}\n"
    )
    sys.stdout.write(f"{result.violation or 'every invariant holds'} ({result.digest})\n")
    return 1 if result.violation else 0


def _report(summary: Summary, options: argparse.Namespace) -> None:
    if options.json:
        sys.stdout.write(json.dumps(summary.document()) + "\n")
        return
    for failure in summary.failures[:_EXPLAINED]:
        _explain(failure, options)
    for failure in summary.failures[_EXPLAINED:]:
        sys.stdout.write(f"\nseed {failure.seed} ({failure.profile}) violates {failure.invariant}: {failure.what}\n")
    happened = ", ".join(f"{count} {what}" for what, count in sorted(summary.happened.items()))
    sys.stdout.write(
        f"{summary.seeds} seeds, {len(summary.failures)} failed; {summary.virtual_s / 3600:.0f} h of virtual time in "
        f"{summary.wall_s:.0f} s ({1000 * summary.cpu_s / max(summary.seeds, 1):.0f} ms CPU a seed); {happened}\n"
    )


def _explain(failure: Outcome, options: argparse.Namespace) -> None:
    plan = draw(failure.seed, options.profile)
    sys.stdout.write(f"\nseed {failure.seed} ({failure.profile}) violates {failure.invariant}: {failure.what}\n")
    shrunk = Shrunk(plan, 0) if options.no_shrink else shrink(plan, partial(_fails, failure.invariant))
    result = in_a_process(partial(_play, shrunk.plan))
    removed = f" --without {','.join(shrunk.plan.removed)}" if shrunk.plan.removed else ""
    profile = f" --profile {options.profile}" if options.profile else ""
    sys.stdout.write(
        f"shrunk from {len(plan.elements)} to {len(shrunk.plan.elements)} elements in {shrunk.tries} tries: "
        f"{result.violation}\n{shrunk.plan.described()}\n{shown(result.trace.entries, most=_MOST_LINES)}\n"
        f"again: python -m tests.simulation --seed {failure.seed}{profile}{removed}\n"
    )


def _play(plan: Plan, made: Stage, *, logs: bool = False) -> Result:
    return made.play(plan, logs=logs)


def _fails(invariant: str | None, plan: Plan) -> bool:
    """Whether it fails the same way: on its own, as a run leaves things behind."""
    return in_a_process(partial(_violated, plan)) == invariant


def _violated(plan: Plan, made: Stage) -> str | None:
    violation = made.play(plan).violation
    return violation.invariant if violation else None


if __name__ == "__main__":
    sys.exit(main())
