"""Plans of faults: drawn from dice, the same each time, and made smaller element by element."""

import random

from tests.simulation.world import KUBERNETES, Fault, FaultKind, Faults, Profile
from tests.simulation.world.faults import EVEN, READS, WRITES


def plans() -> list[Faults]:
    return [Faults.draw(random.Random(seed), Profile(replicas=("a", "b"))) for seed in range(200)]


def test_the_same_dice_give_the_same_plan() -> None:
    assert plans() == plans()


def test_everything_that_can_go_wrong_is_drawn() -> None:
    items = [item for plan in plans() for item in plan.items]
    assert {item.kind for item in items} == set(EVEN)
    assert {item.service for item in items} == {"ecr", "iam", "kubernetes"}
    assert {item.replica for item in items} == {None, "a", "b"}
    assert {item.times is None for item in items} == {True, False}
    assert any(not plan.items for plan in plans())


def test_what_is_drawn_makes_sense() -> None:
    profile = Profile()
    for plan in plans():
        assert plan.healthy_from_s == profile.horizon_s
        for item in plan.items:
            assert 0 <= item.start_s < profile.horizon_s
            assert item.end_s > item.start_s
            assert (item.kind, item.service) != (FaultKind.STALE, KUBERNETES)
            assert item.calls == WRITES or item.kind is not FaultKind.LATE
            assert item.delay_s <= profile.longest_delay_s


def test_a_plan_is_made_smaller_element_by_element() -> None:
    items = tuple(Fault(FaultKind.SLOW, "ecr", start_s=float(number)) for number in range(3))
    assert Faults(items, 9.0).without(0, 2) == Faults((items[1],), 9.0)


def test_which_calls_a_fault_is_about() -> None:
    call = {"replica": "a", "service": "ecr", "operation": "TagResource", "is_write": True}
    about = {
        Fault(FaultKind.SLOW, "ecr"): True,
        Fault(FaultKind.SLOW, "iam"): False,
        Fault(FaultKind.SLOW, "ecr", calls=WRITES): True,
        Fault(FaultKind.SLOW, "ecr", calls=READS): False,
        Fault(FaultKind.SLOW, "ecr", calls="TagResource"): True,
        Fault(FaultKind.SLOW, "ecr", calls="PutImage"): False,
        Fault(FaultKind.SLOW, "ecr", replica="a"): True,
        Fault(FaultKind.SLOW, "ecr", replica="b"): False,
    }
    assert {fault: fault.meets(**call) for fault in about} == about  # type: ignore[arg-type] # as it says above
