"""Events that only ask what they would change, and events that are held to a plan."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from agentd.core import (
    Action,
    Context,
    DeadLetter,
    Defer,
    Delete,
    Fence,
    Handler,
    Hold,
    NotReady,
    OutcomeKind,
    PermanentError,
    Plan,
    PlannedChange,
    Reason,
    Subject,
    handler,
)
from agentd.dispatch import Ports, Tools
from agentd.events import EnvironmentHibernate, ProjectConfigure, ProjectCreate, ProjectDelete
from tests.unit.dispatch.events import create, delete, delivery, event, key, project, uuid
from tests.unit.dispatch.world import Replica, World


@dataclass(frozen=True, slots=True)
class NoWrites:
    """The fence of a plan."""

    subject: Subject
    generation: int
    event_id: str
    owner_id: str = "test-owner"

    async def before_write(self, obj: str, *, stamp: bool = False, destroys: bool = False) -> float:
        raise AssertionError(f"a plan writes to {obj}")


@dataclass(slots=True)
class Shelf:
    """A world of one shelf: what each project wants to be written there."""

    written: dict[str, str] = field(default_factory=dict)
    plan: Plan | None = None

    async def put(self, name: str, text: str, fence: Fence) -> None:
        if self.written.get(name) == text:
            return
        if self.plan is not None:
            self.plan.record(PlannedChange(f"shelf/{name}={text}", Action.CHANGE))
            return
        await fence.before_write(f"shelf/{name}")
        self.written[name] = text

    def planning(self, plan: Plan, subject: Subject, generation: int, event_id: str) -> Tools:
        """Tools for a plan over this world."""
        return Tools(Ports({Shelf: Shelf(self.written, plan)}), NoWrites(subject, generation, event_id))


@handler(ProjectCreate, steps=("put",), timeout_s=60)
async def put_project(ctx: Context, data: ProjectCreate) -> None:
    """Puts what is desired on the shelf."""
    await ctx.step("put", lambda: ctx.port(Shelf).put(data.project_name, "is there", ctx.fence))


@handler(ProjectConfigure, steps=("put",), timeout_s=60)
async def put_configuration(ctx: Context, data: ProjectConfigure) -> None:
    """Puts the configuration on the shelf."""
    text = json.dumps(ctx.desired("config"), sort_keys=True)
    await ctx.step("put", lambda: ctx.port(Shelf).put(f"{data.project_name}.config", text, ctx.fence))


async def shelf_replica(world: World, shelf: Shelf, *handlers: Handler) -> Replica:
    """A replica with a shelf in its world."""
    return await world.replica(
        put_project, put_configuration, *handlers, ports={Shelf: shelf}, prepare_plan=shelf.planning
    )


def configure(number: int, generation: int, default_identity: str, **more: object) -> str:
    """A configuration of project 1."""
    data = {"project_id": uuid(1), "project_name": "project-1", "default_identity": default_identity, **more}
    return event(ProjectConfigure, number, data, generation=generation)


def planned(text: str) -> str:
    """The same event, asking for a plan under an id of its own."""
    document = json.loads(text)
    number = int(document["id"][-4:], 16) + 100
    return json.dumps({**document, "id": uuid(number), "data": {**document["data"], "plan": True}})


def held_to(text: str, planhash: str) -> str:
    """The same event, held to a plan."""
    return json.dumps({**json.loads(text), "planhash": planhash})


async def plan_of(replica: Replica, text: str) -> Any:
    """The plan that is reported for an event."""
    assert await replica.handle(delivery(planned(text), message_id=f"plan-{json.loads(text)['id']}")) == Delete()
    outcome = replica.outlet.reports[-1].outcome
    assert outcome is not None
    assert (outcome.kind, outcome.changed) == (OutcomeKind.SUCCEEDED, False)
    return outcome.result


async def test_a_plan_says_what_would_change_and_takes_nothing(world: World) -> None:
    shelf = Shelf()
    replica = await shelf_replica(world, shelf)
    plan = await plan_of(replica, create(1))
    assert [change["object"] for change in plan["changes"]] == ["shelf/project-1=is there"]
    assert shelf.written == {}
    assert await replica.leases() == 0
    state = await replica.ledger.subject(project(1))
    assert state is not None
    assert (state.facets, state.token) == ({}, 0)
    assert await replica.handle(delivery(create(1))) == Delete(), "the same generation in earnest"
    assert (await plan_of(replica, create(2, generation=2)))["changes"] == []


async def test_a_plan_is_made_of_what_is_desired_by_then(world: World) -> None:
    shelf = Shelf()
    replica = await shelf_replica(world, shelf)
    await replica.handle(delivery(create(1)))
    plan = await plan_of(replica, configure(2, 2, "role/a"))
    (change,) = plan["changes"]
    assert '"role/a"' in change["object"]
    await replica.handle(delivery(configure(3, 3, "role/b")))
    given = await replica.handle(delivery(planned(configure(2, 2, "role/a")), message_id="late"))
    assert given == Delete()


async def test_an_event_is_held_to_its_plan(world: World) -> None:
    shelf = Shelf()
    replica = await shelf_replica(world, shelf)
    await replica.handle(delivery(create(1)))
    wanted = configure(2, 2, "role/a")
    plan = await plan_of(replica, wanted)
    shelf.written["project-1.config"] = "somebody has written something else"
    assert (await plan_of(replica, configure(3, 3, "role/b")))["hash"] != plan["hash"]

    given = await replica.handle(delivery(held_to(configure(4, 2, "role/b"), str(plan["hash"]))))
    assert isinstance(given, DeadLetter)
    assert given.reason is Reason.PLAN_OUTDATED
    assert '"role/b"' in given.message, "it says what it would do now"
    assert shelf.written["project-1.config"] == "somebody has written something else"

    given = await replica.handle(delivery(held_to(configure(5, 5, "role/a"), str(plan["hash"]))))
    assert given == Delete()
    assert "role/a" in shelf.written["project-1.config"]


async def test_a_plan_waits_for_its_subject_and_for_what_must_come_first(world: World) -> None:
    @handler(ProjectDelete, steps=(), timeout_s=60)
    async def wait(_ctx: Context, _data: ProjectDelete) -> None:
        raise NotReady("the image is still being pushed")

    @handler(EnvironmentHibernate, steps=(), timeout_s=60)
    async def hibernate(_ctx: Context, _data: EnvironmentHibernate) -> None:
        raise AssertionError("there is no environment")

    replica = await shelf_replica(world, Shelf(), wait, hibernate)
    data = {"environment_id": uuid(7), "environment_name": "dev"}
    early = planned(event(EnvironmentHibernate, 2, data))
    assert isinstance(await replica.handle(delivery(early)), Defer)
    waiting = (await replica.record(key(102))).waiting
    assert waiting is not None
    assert waiting.why == Hold.SUBJECT
    assert isinstance(await replica.handle(delivery(planned(delete(3, generation=3)), message_id="m-3")), Defer)


async def test_a_plan_of_a_delete_stops_nobody(world: World) -> None:
    @handler(ProjectConfigure, steps=("one", "two"), timeout_s=60)
    async def slow(ctx: Context, _data: ProjectConfigure) -> None:
        for step in ("one", "two"):
            await ctx.step(step, lambda: asyncio.sleep(2))

    @handler(ProjectDelete, steps=(), timeout_s=60)
    async def remove(_ctx: Context, _data: ProjectDelete) -> None:
        """Nothing."""

    shelf = Shelf()
    replica = await world.replica(slow, remove, prepare_plan=shelf.planning)
    running = replica.begin(delivery(configure(1, 1, "role/a")))
    await replica.runtime.sleep(1)
    asked = replica.begin(delivery(planned(delete(2, generation=2)), message_id="m-2"))
    assert await running == Delete()
    assert (await replica.record(key(1))).attempts == 1
    assert await asked == Delete()


async def test_what_can_never_be_has_no_plan(world: World) -> None:
    @handler(ProjectDelete, steps=(), timeout_s=60)
    async def refuse(_ctx: Context, _data: ProjectDelete) -> None:
        raise PermanentError(Reason.IN_USE, "project 1 is deployed to dev")

    replica = await shelf_replica(world, Shelf(), refuse)
    await replica.handle(delivery(create(1)))
    given = await replica.handle(delivery(planned(delete(2, generation=2)), message_id="m-2"))
    assert given == DeadLetter(key(102), 1, OutcomeKind.FAILED, Reason.IN_USE, "project 1 is deployed to dev")
    state = await replica.ledger.subject(project(1))
    assert state is not None
    assert state.tombstone is None
    assert "spec" in state.desired
