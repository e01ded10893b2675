"""Taking elements away from a plan while it still fails the same way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.simulation.plan import Plan

MOST_TRIES = 400


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest plan that was found to fail the same way."""

    plan: Plan
    tries: int


def shrink(plan: Plan, fails: Callable[[Plan], bool], *, most_tries: int = MOST_TRIES) -> Shrunk:
    """Halves first, then smaller and smaller parts, until nothing more can be taken away or the tries are used up."""
    tries = 0
    part = max(1, len(plan.elements) // 2)
    while tries < most_tries:
        smaller = None
        for names in _parts(list(plan.elements), part):
            if tries >= most_tries:
                break
            tries += 1
            candidate = plan.without(names)
            if fails(candidate):
                smaller = candidate
                break
        if smaller is not None:
            plan = smaller
            part = min(part, max(1, len(plan.elements) // 2))
        elif part == 1:
            break
        else:
            part = max(1, part // 2)
    return Shrunk(plan, tries)


def _parts(names: Sequence[str], size: int) -> list[Sequence[str]]:
    """The later ones first: a plan begins with what the rest stands on."""
    return [names[start : start + size] for start in reversed(range(0, len(names), size))]
