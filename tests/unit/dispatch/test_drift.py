"""What has drifted is the plan of what is desired already, once the event that desires it has ended well."""

from collections.abc import Sequence

import pytest

from agentd.core import (
    Action,
    Context,
    DriftState,
    Handler,
    NotReady,
    PermanentError,
    Picture,
    Reason,
    TransientError,
    handler,
)
from agentd.dispatch import Comparer, Planner
from agentd.events import PackageCreate, ProjectCreate, ProjectDelete, ProjectReconcile
from tests.unit.dispatch.events import create, delete, delivery, event, package, project, uuid
from tests.unit.dispatch.test_plans import Shelf
from tests.unit.dispatch.world import Replica, World, handlers_of


@handler(ProjectCreate, steps=("put",), timeout_s=60)
async def put_project(ctx: Context, data: ProjectCreate) -> None:
    """Puts the project on the shelf."""
    if "pause" in ctx.port(Shelf).written:
        raise NotReady("not now")
    if data.project_name == "broken":
        raise PermanentError(Reason.INVALID_REQUEST, "it is broken")
    await ctx.step("put", lambda: ctx.port(Shelf).put(data.project_name, "is there", ctx.fence))


@handler(ProjectDelete, steps=(), timeout_s=60)
async def delete_project(ctx: Context, data: ProjectDelete) -> None:
    """Takes it off."""
    ctx.port(Shelf).written.pop(data.project_name, None)


@handler(PackageCreate, steps=(), timeout_s=60)
async def put_package(_ctx: Context, _data: PackageCreate) -> None:
    """Nothing: no event brings packages back here."""


@handler(ProjectReconcile, steps=("put",), timeout_s=60)
async def bring_back(ctx: Context, data: ProjectReconcile) -> None:
    """Puts what is desired on the shelf again."""
    shelf = ctx.port(Shelf)
    if "obstacle" in shelf.written:
        raise PermanentError(Reason.FOREIGN_OBJECT, shelf.written["obstacle"])
    if "fault" in shelf.written:
        raise ExceptionGroup("both", [TransientError(Reason.THROTTLED, "slow down"), ValueError("x")])
    if "defect" in shelf.written:
        raise ValueError("a defect")
    await ctx.step("put", lambda: shelf.put(data.project_name, "is there", ctx.fence))


HANDLERS: Sequence[Handler] = (put_project, delete_project, put_package, bring_back)


async def comparing(world: World, shelf: Shelf) -> tuple[Replica, Comparer]:
    """A replica with a shelf in its world, and what compares it."""
    replica = await world.replica(*HANDLERS, ports={Shelf: shelf}, prepare_plan=shelf.planning)
    planner = Planner(shelf.planning, replica.runtime, step_retry_s=0, step_retry_cap_s=1)
    return replica, Comparer(handlers_of(*HANDLERS), planner, replica.ledger, replica.runtime)


async def picture_of(comparer: Comparer) -> Picture:
    """Project 1."""
    picture = await comparer.compare(project(1))
    assert picture is not None
    return picture


async def test_a_world_that_is_as_is_desired_is_in_sync_and_one_that_was_changed_has_drifted(world: World) -> None:
    shelf = Shelf()
    replica, comparer = await comparing(world, shelf)
    await replica.handle(delivery(create(1, generation=4)))
    well = await picture_of(comparer)
    assert (well.state, well.changes, well.generation) == (DriftState.IN_SYNC, (), 4)

    del shelf.written["project-1"]
    picture = await picture_of(comparer)
    assert picture.state is DriftState.DRIFTED
    assert [(change.obj, change.action) for change in picture.changes] == [("shelf/project-1=is there", Action.CHANGE)]
    assert shelf.written == {}, "nothing is written"
    assert picture.digest != well.digest
    assert (await picture_of(comparer)).digest == picture.digest


async def test_the_event_that_brings_back_is_held_to_the_picture(world: World) -> None:
    shelf = Shelf()
    replica, comparer = await comparing(world, shelf)
    await replica.handle(delivery(create(1)))
    del shelf.written["project-1"]
    picture = await picture_of(comparer)
    data = {"project_id": uuid(1), "project_name": "project-1"}
    repair = event(ProjectReconcile, 2, data, planhash=picture.planhash)
    await replica.handle(delivery(repair, message_id="repair"))
    assert shelf.written == {"project-1": "is there"}
    assert (await replica.record(f"event/{uuid(2)}")).changed
    assert (await picture_of(comparer)).state is DriftState.IN_SYNC, "a command of the same generation is no claim"


async def test_what_a_failed_event_has_left_undone_is_no_drift(world: World) -> None:
    shelf = Shelf()
    replica, comparer = await comparing(world, shelf)
    await replica.handle(delivery(create(1, name="broken")))
    picture = await picture_of(comparer)
    assert picture.state is DriftState.UNFINISHED
    assert picture.problem == f"event {uuid(1)}, which desires it, has not succeeded (invalid_request)"
    assert len(picture.changes) == 1
    await replica.handle(delivery(create(2, name="project-1", generation=2), message_id="m-2"))
    assert (await picture_of(comparer)).state is DriftState.IN_SYNC


async def test_nothing_is_compared_of_what_nobody_desires_or_somebody_works_on(world: World) -> None:
    shelf = Shelf()
    replica, comparer = await comparing(world, shelf)
    assert await comparer.compare(project(1)) is None, "unknown"
    await replica.handle(delivery(package(5, of=5), message_id="m-5"))
    await replica.handle(delivery(create(1)))
    assert await comparer.compare(project(1)) is not None
    shelf.written["pause"] = ""
    await replica.handle(delivery(create(2, generation=2), message_id="m-2"))
    assert await comparer.compare(project(1)) is None, "its newest event has not ended"
    del shelf.written["pause"]
    await replica.handle(delivery(create(2, generation=2), message_id="m-2"))
    assert await comparer.compare(project(1)) is not None
    await replica.handle(delivery(delete(3, generation=3), message_id="m-3"))
    assert await comparer.compare(project(1)) is None, "deleted"


async def test_what_stands_in_the_way_is_told_and_what_may_pass_is_raised(world: World) -> None:
    shelf = Shelf()
    replica, comparer = await comparing(world, shelf)
    await replica.handle(delivery(create(1)))
    shelf.written["obstacle"] = "it belongs to somebody else"
    one = await picture_of(comparer)
    assert (one.state, one.reason, one.problem) == (
        DriftState.BLOCKED,
        Reason.FOREIGN_OBJECT,
        "it belongs to somebody else",
    )
    shelf.written["obstacle"] = "in other words"
    assert (await picture_of(comparer)).digest == one.digest
    del shelf.written["obstacle"]
    shelf.written["fault"] = ""
    with pytest.raises(TransientError, match="slow down"):
        await comparer.compare(project(1))
    del shelf.written["fault"]
    shelf.written["defect"] = ""
    broken = await picture_of(comparer)
    assert (broken.state, broken.reason, broken.problem) == (
        DriftState.BLOCKED,
        Reason.INTERNAL_ERROR,
        "ValueError: a defect",
    )


async def test_what_is_seen_while_an_event_begins_counts_for_nothing(world: World) -> None:
    shelf = Shelf()
    replica, comparer = await comparing(world, shelf)
    await replica.handle(delivery(create(1)))

    @handler(ProjectReconcile, steps=(), timeout_s=60)
    async def interrupted(ctx: Context, _data: ProjectReconcile) -> None:
        """An event comes and goes in the middle."""
        await replica.handle(delivery(create(2, generation=2), message_id="m-2"))
        await ctx.port(Shelf).put("half", "of it", ctx.fence)

    handlers = handlers_of(put_project, interrupted)
    assert await Comparer(handlers, comparer.planner, replica.ledger, replica.runtime).compare(project(1)) is None
