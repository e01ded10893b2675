"""A leak, a deadlock or an attempt without an end is named within 15 s, and forgotten when it is mended."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from agentd.app.watching import overrun
from agentd.core import Context, handler
from agentd.events import ProjectCreate
from tests.unit.dispatch.events import create, delivery, project, uuid
from tests.unit.dispatch.world import Replica, World, handlers_of

FLOW = "environment/dev"


@handler(ProjectCreate, steps=("work",), timeout_s=20)
async def create_project(ctx: Context, _data: ProjectCreate) -> None:
    """Takes a while."""
    await ctx.step("work", lambda: asyncio.sleep(3))


async def named(replica: Replica, *, within_s: float = 15.0) -> str:
    """What health says first, looking every second."""
    async with asyncio.timeout(within_s):
        while not (ailments := replica.health.look().ailments):
            await replica.runtime.sleep(1)
    (ailment,) = ailments
    return ailment


async def well(replica: Replica) -> None:
    """Returns when nothing is wrong any more."""
    async with asyncio.timeout(15):
        while replica.health.look().ailments:
            await replica.runtime.sleep(1)


async def leaks(take: Callable[[AsyncExitStack], Awaitable[object]]) -> AsyncExitStack:
    """A task takes something into the stack and ends; closing the stack gives it back after all."""
    stack = AsyncExitStack()

    async def leak() -> None:
        await take(stack)

    await asyncio.create_task(leak(), name="handle-m-1")
    return stack


async def test_a_place_that_nobody_gives_back_is_named(world: World) -> None:
    replica = await world.replica(create_project)
    places = replica.dispatcher._places
    leaked = await leaks(lambda stack: stack.enter_async_context(places.place(FLOW, wait_s=1)))
    assert await named(replica) == f"places: a place of {FLOW} is held by task handle-m-1, which has ended"
    await leaked.aclose()
    await well(replica)


async def test_a_lane_that_is_held_by_nobody_at_work_is_named(world: World) -> None:
    replica = await world.replica(create_project)
    lanes = replica.dispatcher._lanes

    async def queue_up(stack: AsyncExitStack) -> None:
        task = asyncio.current_task()
        stack.enter_context(lanes.ticket(project(1), 1, deletes=False, locks=(), flow=FLOW, owner=task))

    leaked = await leaks(queue_up)
    behind = replica.begin_to_the_end(delivery(create(1)))
    assert await named(replica) == f"lanes: the lane of {project(1)} is held by task handle-m-1, which has ended"
    assert not behind.done(), "it waits for its turn, which does not come"
    await leaked.aclose()
    await well(replica)
    await behind


async def test_an_attempt_that_does_not_heed_its_deadline_is_named(world: World) -> None:
    ended = asyncio.Event()

    @handler(ProjectCreate, steps=("work",), timeout_s=20)
    async def stubborn(ctx: Context, _data: ProjectCreate) -> None:
        async def work() -> None:
            while not ended.is_set():
                try:
                    await ended.wait()
                except asyncio.CancelledError:
                    continue

        await ctx.step("work", work)

    replica = await world.replica(stubborn)
    handlers = handlers_of(stubborn)
    replica.health.invariant("events", lambda: overrun(replica.dispatcher.status(), handlers))
    attempt = replica.begin(delivery(create(1)))
    await replica.runtime.sleep(25)
    assert replica.health.look().ailments == (), "it may need a moment to clean up"
    said = await named(replica)
    assert said.startswith(f"events: event {uuid(1)} ({ProjectCreate.type}) has run for ")
    assert said.endswith(" s, at step 'work'; its handler's deadline is 20 s")
    ended.set()
    await attempt
    await well(replica)


async def test_a_busy_replica_is_well(world: World) -> None:
    replica = await world.replica(create_project, max_running=2)
    handlers = handlers_of(create_project)
    replica.health.invariant("events", lambda: overrun(replica.dispatcher.status(), handlers))
    work = [
        replica.begin_to_the_end(delivery(create(number, of=number % 5, generation=number), message_id=f"m-{number}"))
        for number in range(1, 31)
    ]
    while not all(task.done() for task in work):
        assert replica.health.look().ailments == ()
        assert replica.health.ailments() == ()
        await replica.runtime.sleep(0.25)
