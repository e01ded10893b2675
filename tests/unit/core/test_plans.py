"""Plans: what several writes to one object come to, and the hash that names a plan."""

import pytest

from agentd.core import (
    Action,
    Fence,
    FieldChange,
    PermanentError,
    Plan,
    PlanFence,
    PlannedChange,
    Reason,
    Subject,
)

CREATED = PlannedChange("kubernetes:namespace/dev", Action.CREATE, (FieldChange("spec", None, 1),))


def changed(before: object, after: object, path: str = "spec") -> PlannedChange:
    """A change of one field of the same object."""
    return PlannedChange(CREATED.obj, Action.CHANGE, (FieldChange(path, before, after),))


def plan_of(*changes: PlannedChange) -> Plan:
    """A plan with these writes."""
    plan = Plan()
    for change in changes:
        plan.record(change)
    return plan


def test_two_writes_to_one_object_are_one_change() -> None:
    assert list(plan_of(changed(1, 2), changed(2, 3), changed(None, 7, "data"))) == [
        PlannedChange(CREATED.obj, Action.CHANGE, (FieldChange("spec", 1, 3), FieldChange("data", None, 7)))
    ]
    assert list(plan_of(CREATED, changed(1, 2))) == [
        PlannedChange(CREATED.obj, Action.CREATE, (FieldChange("spec", None, 2),))
    ]


def test_what_is_undone_is_no_change() -> None:
    deleted = PlannedChange(CREATED.obj, Action.DELETE)
    assert list(plan_of(changed(1, 2), changed(2, 1))) == []
    assert list(plan_of(CREATED, deleted)) == []
    assert list(plan_of(changed(1, 2), deleted)) == [deleted]


def test_a_hash_names_what_would_be_done_in_whatever_order() -> None:
    other = PlannedChange("ecr:repository/a", Action.DELETE)
    one, two = plan_of(CREATED, other).json(), plan_of(other, CREATED).json()
    assert one["hash"] == two["hash"]
    assert [change["object"] for change in one["changes"]] == [CREATED.obj, other.obj]
    assert plan_of(other).json()["hash"] != one["hash"]
    assert plan_of(changed(1, 2)).json()["hash"] != plan_of(changed(0, 2)).json()["hash"], "from another state"


async def test_a_plans_fence_lets_nothing_be_written() -> None:
    fence: Fence = PlanFence(Subject("environment", "e1"), 3, "event", "owner")
    assert (fence.generation, fence.owner_id) == (3, "owner")
    with pytest.raises(PermanentError, match=r"a plan writes nothing: ecr:repository/a\b") as caught:
        await fence.before_write("ecr:repository/a", stamp=True)
    assert caught.value.reason is Reason.INTERNAL_ERROR
