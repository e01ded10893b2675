"""What a delete leaves behind, and to whom a name belongs."""

import asyncio

from agentd.core import Context, DeadLetter, Defer, Delete, Outcome, OutcomeKind, PermanentError, Reason, handler
from agentd.events import ProjectCreate, ProjectDelete
from tests.unit.dispatch.events import create, delete, delivery, key, project, uuid
from tests.unit.dispatch.world import World


@handler(ProjectCreate, steps=(), timeout_s=60)
async def create_project(_ctx: Context, _data: ProjectCreate) -> None:
    """Nothing to do."""


@handler(ProjectDelete, steps=("wait",), timeout_s=600)
async def delete_project(ctx: Context, data: ProjectDelete) -> None:
    """Takes a minute; fails for a project that is named so."""
    await ctx.step("wait", lambda: asyncio.sleep(60))
    if data.project_name == "undeletable":
        raise PermanentError(Reason.NOT_EMPTY, "repository undeletable holds images")


async def test_a_delete_leaves_a_tombstone_and_only_a_newer_create_lifts_it(world: World) -> None:
    replica = await world.replica(create_project, delete_project)
    assert await replica.handle(delivery(create(1, generation=1))) == Delete()
    assert await replica.handle(delivery(delete(3, generation=3), message_id="m-2")) == Delete()
    state = await replica.ledger.subject(project(1))
    assert state is not None
    assert (state.tombstone, state.names) == (3, ())

    assert await replica.handle(delivery(create(2, generation=2), message_id="m-3")) == Delete()
    assert (await replica.record(key(2))).outcome == Outcome(
        OutcomeKind.SUPERSEDED, reason=Reason.NEWER_GENERATION, message=f"generation 3 was taken up by event {uuid(3)}"
    )
    again = await replica.handle(delivery(delete(4, generation=4), message_id="m-4"))
    assert isinstance(again, DeadLetter), "no create"
    assert (again.outcome, again.reason) == (OutcomeKind.FAILED, Reason.DELETED)
    assert again.message == f"{project(1)} was deleted at generation 3"

    assert await replica.handle(delivery(create(5, generation=5), message_id="m-5")) == Delete()
    state = await replica.ledger.subject(project(1))
    assert state is not None
    assert (state.tombstone, state.names) == (None, (("project", "project-1"),))
    assert (await replica.record(key(5))).outcome == Outcome(OutcomeKind.SUCCEEDED)


async def test_a_name_of_another_subject_is_taken(world: World) -> None:
    replica = await world.replica(create_project, delete_project)
    await replica.handle(delivery(create(1, of=1, name="orders")))
    given = await replica.handle(delivery(create(2, of=2, name="orders"), message_id="m-2"))
    assert isinstance(given, DeadLetter)
    assert (given.outcome, given.reason) == (OutcomeKind.FAILED, Reason.NAME_TAKEN)
    assert given.message == f"project name 'orders' belongs to {project(1)}"
    assert (await replica.record(key(2))).attempts == 0


async def test_a_name_is_waited_for_while_its_owner_is_being_deleted(world: World) -> None:
    replica = await world.replica(create_project, delete_project)
    await replica.handle(delivery(create(1, of=1, name="orders")))
    going = replica.begin(delivery(delete(2, of=1, name="orders", generation=2), message_id="m-2"))
    await replica.runtime.sleep(10)
    assert await replica.handle(delivery(create(3, of=2, name="orders"), message_id="m-3", at_s=10)) == Defer(1.0)
    waiting = (await replica.record(key(3))).waiting
    assert waiting is not None
    assert (waiting.why, waiting.message) == ("name", f"the name orders is not free before {project(1)} is deleted")

    assert (await replica.to_the_end(delivery(create(3, of=2, name="orders"), message_id="m-3")))[-1] == Delete()
    assert await going == Delete()
    state = await replica.ledger.subject(project(2))
    assert state is not None
    assert state.names == (("project", "orders"),)


async def test_a_delete_that_fails_keeps_the_name(world: World) -> None:
    replica = await world.replica(create_project, delete_project)
    await replica.handle(delivery(create(1, of=1, name="undeletable")))
    given = await replica.handle(delivery(delete(2, of=1, name="undeletable", generation=2), message_id="m-2"))
    assert isinstance(given, DeadLetter)
    assert given.reason is Reason.NOT_EMPTY
    state = await replica.ledger.subject(project(1))
    assert state is not None
    assert (state.tombstone, state.names) == (None, (("project", "undeletable"),))
    other = await replica.handle(delivery(create(3, of=2, name="undeletable"), message_id="m-3"))
    assert isinstance(other, DeadLetter)
    assert other.reason is Reason.NAME_TAKEN
