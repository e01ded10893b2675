"""What holds when a replica stops in the middle, or loses what it held."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from agentd.core import (
    AgentError,
    Context,
    DeadLetter,
    Defer,
    Delete,
    LeaseLost,
    OutcomeKind,
    Reason,
    RetryPolicy,
    TransientError,
    handler,
)
from agentd.events import ProjectCreate
from agentd.ledger import Claim, Renewal
from agentd.ledger.sqlite import SqliteLedger
from tests.unit.dispatch.events import create, delivery, key, project
from tests.unit.dispatch.world import Replica, World
from tests.virtual_time import about


class Slow:
    """A handler of two steps; the second takes a minute. Remembers what came about, and who wrote when."""

    def __init__(self, *, max_attempts: int = 3) -> None:
        self.firsts = 0
        self.seconds = 0
        self.cut = 0
        self.late_writes = 0
        self.handler = handler(
            ProjectCreate, steps=("first", "second"), timeout_s=600, retry=RetryPolicy(max_attempts=max_attempts)
        )(self._run)

    async def _run(self, ctx: Context, _data: ProjectCreate) -> None:
        async def first() -> str:
            self.firsts += 1
            await ctx.fence.before_write("repository/one")
            return "written"

        assert await ctx.step("first", first) == "written"
        try:
            await ctx.step("second", self._wait)
        except asyncio.CancelledError:
            self.cut += 1
            with suppress(AgentError):
                await ctx.fence.before_write("repository/two")
                self.late_writes += 1
            raise

    async def _wait(self) -> None:
        self.seconds += 1
        await asyncio.sleep(60)


async def crashed(world: World, slow: Slow, name: str) -> None:
    """A replica that is killed in the middle of the second step."""
    replica = await world.replica(slow.handler, name=name)
    begun = replica.begin(delivery(create(1)))
    await replica.runtime.sleep(5)
    await replica.crash()
    assert begun.done()


async def test_after_a_crash_the_next_attempt_waits_for_the_lease_and_goes_on_where_the_last_one_stopped(
    world: World,
) -> None:
    slow = Slow()
    await crashed(world, slow, "a")
    replica = await world.replica(slow.handler, name="b")
    assert await replica.handle(delivery(create(1))) == Defer(about(25))
    await replica.runtime.sleep(26)
    assert await replica.handle(delivery(create(1))) == Delete()
    assert (slow.firsts, slow.seconds) == (1, 2)
    (report,) = replica.outlet.reports
    assert (report.attempts, report.changed, report.objects) == (2, True, ("repository/one",))
    assert await replica.whats(key(1)) == ["admitted", "claimed", "waiting", "attempt_failed", "claimed", "finished"]


async def test_a_crash_in_every_attempt_is_a_crash_loop(world: World) -> None:
    slow = Slow(max_attempts=2)
    for name in ("a", "b"):
        await crashed(world, slow, name)
        await asyncio.sleep(30)
    replica = await world.replica(slow.handler, name="c")
    given = await replica.handle(delivery(create(1)))
    message = "2 attempts, the last of which ended with the process"
    assert given == DeadLetter(key(1), 1, OutcomeKind.FAILED, Reason.CRASH_LOOP, message)
    (report,) = replica.outlet.reports
    assert (report.attempts, report.changed) == (2, True)


async def test_cancelled_work_gives_the_lease_back_and_costs_no_attempt(world: World) -> None:
    slow = Slow()
    replica = await world.replica(slow.handler)
    begun = replica.begin(delivery(create(1)))
    await replica.runtime.sleep(5)
    assert await replica.leases() == 1
    begun.cancel()
    await asyncio.wait([begun])
    assert begun.cancelled()
    assert await replica.leases() == 0
    assert replica.dispatcher.status() == []
    record = await replica.record(key(1))
    assert (record.attempts, record.last_error) == (0, None)
    other = await world.replica(slow.handler, name="b")
    assert await other.handle(delivery(create(1))) == Delete()
    assert (slow.firsts, other.outlet.reports[0].attempts, other.outlet.reports[0].changed) == (1, 1, True)


async def test_a_lease_that_cannot_be_renewed_cuts_the_work_and_another_replica_takes_over(world: World) -> None:
    slow = Slow()
    one = await world.replica(slow.handler, busy_timeout_s=0.01)
    begun = one.begin(delivery(create(1)))
    await one.runtime.sleep(5)
    with world.file_locked():
        assert await begun == Defer(1.0)
    assert one.runtime.monotonic() == pytest.approx(30, abs=7.5)
    assert (slow.cut, slow.late_writes) == (1, 0)
    assert one.outlet.reports == []
    assert one.health.ailments() == ()

    two = await world.replica(slow.handler, name="b")
    await two.runtime.sleep(30)
    assert await two.handle(delivery(create(1))) == Delete()
    assert two.outlet.reports[0].attempts == 2


async def test_a_subject_that_was_taken_over_is_written_to_no_more(world: World) -> None:
    """One replica's wall clock is far ahead: it believes that the other's lease has ended."""
    slow = Slow()
    one, two = await world.replica(slow.handler), await world.replica(slow.handler, name="b")
    two.clock.ahead_s = 3600
    begun = one.begin(delivery(create(1)))
    await one.runtime.sleep(10)
    taking_over = two.begin(delivery(create(1)))
    assert await begun == Defer(1.0)
    assert one.runtime.monotonic() == about(15), "found out at the next renewal"
    assert (slow.cut, slow.late_writes) == (1, 0)
    assert one.outlet.reports == []
    assert await taking_over == Delete()
    state = await two.ledger.subject(project(1))
    assert state is not None
    assert state.token == 2
    assert one.runtime.monotonic() == about(70)


async def test_clocks_that_differ_by_less_than_allowed_share_no_lease(world: World) -> None:
    """Cut off from the ledger, a holder goes on until its lease ends; the other's clock is ahead and tells it later."""
    slow = Slow()
    one = await world.replica(slow.handler, clock_skew_s=2)
    two = await world.replica(slow.handler, name="b", clock_skew_s=2)
    two.clock.ahead_s = 1.9
    begun = one.begin(delivery(create(1)))
    await one.runtime.sleep(1)
    await one.ledger.close()
    await one.runtime.sleep(29.1)
    assert begun.done(), "its lease has ended after 30 s by its own clock"
    assert await two.handle(delivery(create(1))) == Delete()
    assert two.runtime.monotonic() == about(30.1 + 60)


async def test_clocks_that_differ_by_less_than_allowed_leave_the_holder_alone(world: World) -> None:
    slow = Slow()
    one = await world.replica(slow.handler, clock_skew_s=2)
    two = await world.replica(slow.handler, name="b", clock_skew_s=2)
    two.clock.ahead_s = 1.9
    one.begin(delivery(create(1)))
    await one.runtime.sleep(7)
    given = await two.handle(delivery(create(1), message_id="m-2"))
    assert given == Defer(about(32 - 7 - 1.9)), "the lease, and what clocks may differ by"


async def test_a_lost_lease_has_a_last_word(world: World) -> None:
    """An adapter finds a newer generation on the object each time: the ledger says so in the end, not `crash loop`."""

    @handler(ProjectCreate, steps=(), timeout_s=60, retry=RetryPolicy(max_attempts=2))
    async def run(_ctx: Context, _data: ProjectCreate) -> None:
        raise LeaseLost("repository one carries generation 9")

    replica = await world.replica(run)
    assert await replica.handle(delivery(create(1))) == Defer(1.0)
    assert await replica.leases() == 0
    given = await replica.to_the_end(delivery(create(1)))
    assert isinstance(given[-1], DeadLetter)
    assert given[-1].reason is Reason.ATTEMPTS_EXHAUSTED
    assert "lease_lost: repository one carries generation 9" in given[-1].message


async def test_an_end_that_comes_too_late_changes_nothing(world: World) -> None:
    """The handler returns in the same instant in which its lease runs out."""
    slow = Slow()
    replica = await world.replica(slow.handler, lease_s=65)
    await stop_renewing(replica)
    assert await replica.handle(delivery(create(1))) == Delete(), "five seconds were left"
    other = await world.replica(slow.handler, name="b", lease_s=59)
    await stop_renewing(other)
    assert await other.handle(delivery(create(2, generation=2), message_id="m-2")) == Defer(1.0)
    record = await other.record(key(2))
    assert (record.outcome, record.attempts) == (None, 1)


async def stop_renewing(replica: Replica) -> None:
    """As when its event loop hangs."""
    replica.tasks[0].cancel()
    await asyncio.wait([replica.tasks[0]])


async def test_work_cancelled_while_its_end_is_written_gives_the_lease_back(world: World) -> None:
    @handler(ProjectCreate, steps=("one",), timeout_s=60)
    async def run(ctx: Context, _data: ProjectCreate) -> None:
        await ctx.step("one", lambda: asyncio.sleep(1))
        raise TransientError(Reason.UNAVAILABLE, "ECR does not answer")

    for pauses in range(12):
        replica = await world.replica(run, name=f"r-{pauses}")
        number = 10 + pauses
        begun = replica.begin(delivery(create(number, of=number), message_id=f"m-{pauses}"))
        await replica.runtime.sleep(1)
        for _ in range(pauses):
            await asyncio.sleep(0)
        begun.cancel()
        await asyncio.wait([begun])
        assert await replica.leases() == 0, f"cancelled {pauses} turns of the loop after the step's work"


async def test_work_cancelled_while_it_is_claimed_leaves_no_lease_behind(world: World) -> None:
    slow = Slow()
    for pauses in range(12):
        replica = await world.replica(slow.handler, name=f"r-{pauses}")
        number = 10 + pauses
        begun = replica.begin(delivery(create(number, of=number), message_id=f"m-{pauses}"))
        for _ in range(pauses):
            await asyncio.sleep(0)
        begun.cancel()
        await asyncio.wait([begun])
        assert await replica.leases() == 0, f"cancelled after {pauses} turns of the loop"


class Hanging(SqliteLedger):
    """A store whose disk hangs for a minute, once, at the first renewal."""

    hung = False

    async def renew(self, claims: Sequence[Claim], *, now: float, until: float) -> Sequence[Renewal]:
        if not self.hung:
            self.hung = True
            await asyncio.sleep(60)
        return await super().renew(claims, now=now, until=until)


async def test_one_renewal_that_hangs_costs_no_lease(world: World) -> None:
    slow = Slow()
    replica = await world.replica(slow.handler, store=Hanging)
    assert await replica.handle(delivery(create(1))) == Delete()
    assert (slow.cut, replica.outlet.reports[0].attempts) == (0, 1)
