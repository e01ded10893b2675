"""A delete goes before older work of its subject."""

import asyncio
from functools import partial
from typing import Any

import pytest

from agentd.core import Context, DeadLetter, Defer, Delete, OutcomeKind, Reason, handler
from agentd.events import ProjectCreate, ProjectDelete
from tests.unit.dispatch.events import create, delete, delivery, key, project, uuid, when
from tests.unit.dispatch.world import World
from tests.virtual_time import about


class Log:
    """Handlers whose steps take a while, and what they did in which order."""

    def __init__(self, *, step_s: float = 3, steps: int = 3) -> None:
        self.did: list[str] = []
        names = tuple(f"step {number}" for number in range(1, steps + 1))

        @handler(ProjectCreate, steps=names, timeout_s=600)
        async def create_project(ctx: Context, _data: ProjectCreate) -> None:
            for name in names:
                await ctx.step(name, partial(self._do, f"create {name}", step_s))

        @handler(ProjectDelete, steps=("delete",), timeout_s=600)
        async def delete_project(ctx: Context, _data: ProjectDelete) -> None:
            await ctx.step("delete", partial(self._do, "delete", step_s))

        self.handlers = (create_project, delete_project)

    async def _do(self, what: str, step_s: float) -> None:
        await asyncio.sleep(step_s)
        self.did.append(what)


async def test_a_delete_stops_an_older_running_event_at_its_next_step(world: World) -> None:
    log = Log()
    replica = await world.replica(*log.handlers)
    older = replica.begin_to_the_end(delivery(create(1, generation=1)))
    await replica.runtime.sleep(1)
    assert await replica.handle(delivery(delete(2, generation=2), message_id="m-2", at_s=1)) == Delete()
    assert log.did == ["create step 1", "delete"]
    assert replica.runtime.monotonic() == about(6)
    assert (await older)[0] == Defer(35.0), "the subject is left to the delete"
    assert (await older)[-1] == Delete()
    record = await replica.record(key(1))
    assert record.outcome is not None
    assert (record.outcome.kind, record.attempts) == (OutcomeKind.SUPERSEDED, 0), "nobody is to blame"
    assert log.did == ["create step 1", "delete"]
    state = await replica.ledger.subject(project(1))
    assert state is not None
    assert state.tombstone == 2


async def test_a_delete_goes_before_an_older_event_that_waits(world: World) -> None:
    log = Log()
    replica = await world.replica(*log.handlers, lane_wait_s=30)
    replica.begin_to_the_end(delivery(create(1, generation=1)))
    replica.begin_to_the_end(delivery(create(2, generation=2), message_id="m-2"))
    await replica.runtime.sleep(1)
    assert await replica.handle(delivery(delete(3, generation=3), message_id="m-3", at_s=1)) == Delete()
    assert log.did == ["create step 1", "delete"]
    assert replica.runtime.monotonic() == about(6)


async def test_a_delete_does_not_stop_a_newer_event(world: World) -> None:
    log = Log(step_s=1)
    replica = await world.replica(*log.handlers)
    newer = replica.begin(delivery(create(1, generation=9)))
    await replica.runtime.sleep(0.5)
    assert await replica.handle(delivery(delete(2, generation=2), message_id="m-2")) == Delete()
    assert await newer == Delete()
    assert log.did == ["create step 1", "create step 2", "create step 3"]


@pytest.mark.parametrize("attributes", [{"tenantid": uuid(7)}, {"expirytime": when(-1)}])
async def test_a_delete_that_is_not_admitted_stops_nobody(world: World, attributes: dict[str, Any]) -> None:
    log = Log(step_s=1)
    replica = await world.replica(*log.handlers)
    older = replica.begin(delivery(create(1, generation=1)))
    await replica.runtime.sleep(0.5)
    given = await replica.handle(delivery(delete(2, generation=2, **attributes), message_id="m-2"))
    assert isinstance(given, DeadLetter)
    assert await older == Delete()
    assert log.did == ["create step 1", "create step 2", "create step 3"]


async def test_within_a_fifo_group_order_is_kept(world: World) -> None:
    log = Log(step_s=1)
    replica = await world.replica(*log.handlers)
    older = replica.begin(delivery(create(1, generation=1), group="project/1"))
    await replica.runtime.sleep(0.5)
    given = await replica.handle(delivery(delete(2, generation=2), message_id="m-2", group="project/1"))
    assert given == await older == Delete()
    assert log.did == ["create step 1", "create step 2", "create step 3", "delete"]


async def test_a_delete_goes_before_an_older_event_of_another_replica(world: World) -> None:
    """The older event stops, and does not take the subject back before the delete has had its turn."""
    log = Log(step_s=20, steps=5)
    one, two = await world.replica(*log.handlers), await world.replica(*log.handlers, name="b")
    older = one.begin_to_the_end(delivery(create(1, generation=1)))
    await one.runtime.sleep(5)
    given = await two.to_the_end(delivery(delete(2, generation=2), message_id="m-2", at_s=5))
    assert given[-1] == Delete()
    assert log.did == ["create step 1", "delete"]
    assert two.runtime.monotonic() < 80
    assert (await older)[-1] == Delete()
    record = await one.record(key(1))
    assert record.outcome is not None
    assert (record.outcome.kind, record.outcome.reason) == (OutcomeKind.SUPERSEDED, Reason.NEWER_GENERATION)
    assert record.attempts == 0


async def test_a_delete_that_gave_its_place_in_the_lane_back_still_goes_first(world: World) -> None:
    log = Log(step_s=400, steps=3)
    replica = await world.replica(*log.handlers)
    older = replica.begin_to_the_end(delivery(create(1, generation=1)))
    await replica.runtime.sleep(1)
    given = await replica.to_the_end(delivery(delete(2, generation=2), message_id="m-2", at_s=1))
    assert len(given) > 2, "the lane was waited for in vain at first"
    assert given[-1] == Delete()
    assert log.did == ["create step 1", "delete"]
    await older
