"""How a process of the simulation comes to its end."""

from dataclasses import replace

from tests.simulation.draw import draw
from tests.simulation.plan import Mishap, MishapKind, Moment, Plan
from tests.simulation.simulation import Result
from tests.simulation.stage import Stage, in_a_process

_LONGEST = 4000


def plan_of(*mishaps: Mishap) -> Plan:
    """Nothing but what comes over the one replica, whose steps go before those of others."""
    plan = draw(1, "drain")
    setup = replace(plan.setup, replicas=1, skew_s=(0.0,), stickiness=1.0, ends_with_restart=False)
    return replace(plan, setup=setup, elements={f"m{number}": mishap for number, mishap in enumerate(mishaps)})


TERM = Mishap(MishapKind.TERM, 0, Moment.SECONDS, 2.0, lasts_s=60.0)


def crash_after(steps: int) -> Mishap:
    """A kill right after one of the replica's steps."""
    return Mishap(MishapKind.CRASH, 0, Moment.STEPS, steps, lasts_s=60.0)


def test_a_process_is_killed_as_its_last_step_is_taken() -> None:
    def work(made: Stage) -> list[Result]:
        def killed(steps: int) -> bool:
            return made.play(plan_of(TERM, crash_after(steps))).counts[MishapKind.CRASH] == 1

        fewest, most = 1, _LONGEST
        while most - fewest > 1:
            middle = (fewest + most) // 2
            fewest, most = (middle, most) if killed(middle) else (fewest, middle)
        return [made.play(plan_of(TERM, crash_after(steps))) for steps in range(fewest - 2, fewest + 2)]

    results = in_a_process(work)
    assert [result.violation for result in results] == [None] * len(results)
    assert {result.counts[MishapKind.CRASH] for result in results} == {0, 1}
