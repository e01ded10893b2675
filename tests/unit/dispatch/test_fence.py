"""What a handler's writes are held to."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agentd.core import Context, Defer, Delete, Handler, LeaseLost, Reason, Retry, RetryPolicy, TransientError, handler
from agentd.events import ProjectCreate
from tests.unit.dispatch.events import create, delivery, key, project, uuid
from tests.unit.dispatch.world import OWNER_ID, Replica, World
from tests.virtual_time import about


def running(work: Callable[[Context], Awaitable[None]]) -> Handler:
    """A handler that does the test's work."""

    @handler(ProjectCreate, steps=(), timeout_s=600, retry=RetryPolicy(max_attempts=3))
    async def run(ctx: Context, _data: ProjectCreate) -> None:
        await work(ctx)

    return run


async def test_a_write_is_durably_noted_before_it_may_begin(world: World) -> None:
    replica: Replica

    async def work(ctx: Context) -> None:
        assert (ctx.fence.subject, ctx.fence.generation) == (project(1), 4)
        assert (ctx.fence.event_id, ctx.fence.owner_id) == (uuid(1), OWNER_ID)
        assert not (await replica.record(key(1))).changed
        assert 0 < await ctx.fence.before_write("repository/one") == about(29.75)
        record = await replica.record(key(1))
        assert (record.changed, record.objects) == (True, ("repository/one",))

    replica = await world.replica(running(work))
    assert await replica.handle(delivery(create(1, generation=4))) == Delete()
    assert replica.outlet.reports[0].changed


async def test_a_stamp_is_no_change(world: World) -> None:
    async def work(ctx: Context) -> None:
        await ctx.fence.before_write("repository/one", stamp=True)

    replica = await world.replica(running(work))
    await replica.handle(delivery(create(1)))
    (report,) = replica.outlet.reports
    assert (report.changed, report.objects) == (False, ("repository/one",))


async def test_a_stamp_before_a_change_of_the_same_object_hides_nothing(world: World) -> None:
    async def work(ctx: Context) -> None:
        await ctx.fence.before_write("repository/one", stamp=True)
        await ctx.fence.before_write("repository/one")
        await ctx.fence.before_write("repository/one")

    replica = await world.replica(running(work))
    await replica.handle(delivery(create(1)))
    (report,) = replica.outlet.reports
    assert (report.changed, report.objects) == (True, ("repository/one",))


async def test_the_time_that_a_write_may_take_ends_before_the_lease_does(world: World) -> None:
    allowed: list[float] = []

    async def work(ctx: Context) -> None:
        for _ in range(6):
            allowed.append(await ctx.fence.before_write("repository/one"))
            await asyncio.sleep(2.4)

    replica = await world.replica(running(work), lease_s=20, fence_margin_s=3)
    assert await replica.handle(delivery(create(1))) == Delete()
    assert allowed == [about(seconds) for seconds in (17, 14.6, 12.2, 14.8, 12.4, 15)], "renewed every 5 s"


async def test_with_too_little_left_of_the_lease_no_write_begins(world: World) -> None:
    began: list[float] = []

    async def work(ctx: Context) -> None:
        for _ in range(4):
            await ctx.fence.before_write(f"repository/{len(began)}")
            began.append(asyncio.get_running_loop().time())
            await asyncio.sleep(9.9)

    replica = await world.replica(running(work), lease_s=30, fence_margin_s=1)
    replica.tasks[0].cancel()  # nobody renews any more
    assert await replica.handle(delivery(create(1))) == Defer(1.0)
    assert began == [0, about(9.9), about(19.8)]
    record = await replica.record(key(1))
    assert (record.outcome, record.attempts, record.changed) == (None, 1, True)


@pytest.mark.parametrize(("ahead_s", "writes"), [(-3600, True), (10, True), (29.8, False), (3600, False)])
async def test_a_wall_clock_that_jumps_ahead_shortens_the_lease(world: World, ahead_s: float, *, writes: bool) -> None:
    """To the others, who read the wall clock, the lease has ended; a clock that goes back makes it no longer."""
    replica: Replica
    wrote = False

    async def work(ctx: Context) -> None:
        nonlocal wrote
        replica.clock.ahead_s = ahead_s
        assert await ctx.fence.before_write("repository/one") <= 29.75
        wrote = True

    replica = await world.replica(running(work))
    given = await replica.handle(delivery(create(1)))
    assert wrote is writes
    assert given == (Delete() if writes else Defer(1.0))


async def test_a_machine_that_slept_does_not_write(world: World) -> None:
    """Its loop's clock stood still; the wall clock tells."""
    replica: Replica

    async def work(ctx: Context) -> None:
        await asyncio.sleep(1)
        replica.clock.ahead_s = 40
        with pytest.raises(LeaseLost, match="has ended"):
            await ctx.fence.before_write("repository/one")
        raise LeaseLost("as the fence says")

    replica = await world.replica(running(work))
    assert await replica.handle(delivery(create(1))) == Defer(1.0)
    assert not (await replica.record(key(1))).changed


async def test_a_write_that_cannot_be_noted_does_not_begin(world: World) -> None:
    async def work(ctx: Context) -> None:
        with world.file_locked(), pytest.raises(TransientError):
            await ctx.fence.before_write("repository/one")
        raise TransientError(Reason.UNAVAILABLE, "not noted")

    replica = await world.replica(running(work), busy_timeout_s=0.01)
    assert isinstance(await replica.handle(delivery(create(1))), Retry)
    assert not (await replica.record(key(1))).changed
