"""What an event was made of goes when it has ended, without the garbage collector."""

import gc

from agentd.core import Context, Delete, handler
from agentd.dispatch.context import RunContext
from agentd.dispatch.lanes import Ticket
from agentd.dispatch.places import Place
from agentd.dispatch.runner import Work
from agentd.events import Event, ProjectCreate
from tests.unit.dispatch.events import create, delivery
from tests.unit.dispatch.world import World


@handler(ProjectCreate, steps=("write",), timeout_s=60)
async def create_project(ctx: Context, _data: ProjectCreate) -> None:
    """Writes to one object."""

    async def write() -> None:
        await ctx.fence.before_write("repository/one")

    await ctx.step("write", write)


async def test_an_event_leaves_no_cycles(world: World) -> None:
    replica = await world.replica(create_project)
    gc.collect()
    gc.disable()
    try:
        assert await replica.handle(delivery(create(1))) == Delete()
        left = [found for found in gc.get_objects() if isinstance(found, Event | Place | RunContext | Ticket | Work)]
    finally:
        gc.enable()
    assert left == []
