"""The budget on a real ledger: steps are counted over replicas, then stopped until somebody releases them."""

import asyncio

import pytest

from agentd.core import Context, Defer, Delete, NotReady, OutcomeKind, Reason, handler
from agentd.dispatch.policy import Budget, BudgetConfig, budget
from agentd.dispatch.policy.counting import MOST_COUNTED, name_of
from agentd.events import ProjectCreate, ProjectDelete
from tests.unit.dispatch.events import create, delete, delivery, key
from tests.unit.dispatch.world import Replica, World
from tests.virtual_time import START

CONFIG = BudgetConfig(destructive_steps=3, window_s=3600)


def _budget(replica: Replica, config: BudgetConfig = CONFIG) -> Budget:
    return Budget(config, replica.ledger, replica.runtime)


async def _granted(spent: Budget, event_id: str, obj: str) -> bool:
    try:
        await spent.spend(event_id, obj)
    except NotReady:
        return False
    return True


async def test_what_has_to_wait_says_for_what(world: World) -> None:
    spent = _budget(await world.replica(), BudgetConfig(destructive_steps=1))
    await spent.spend("e", "o1")
    with pytest.raises(NotReady, match=r"^o2 is not touched: 1 destructive steps .* agentd budget release$") as caught:
        await spent.spend("e", "o2")
    assert caught.value.reason is Reason.BUDGET


async def test_without_a_limit_nothing_is_counted(world: World) -> None:
    replica = await world.replica()
    unlimited = _budget(replica, BudgetConfig())
    for number in range(10):
        await unlimited.spend("e", f"o{number}")
    assert await replica.ledger.variable(budget.VARIABLE) is None


async def test_steps_are_counted_over_replicas(world: World) -> None:
    budgets = [_budget(await world.replica(name=name)) for name in ("a", "b")]
    tried = [_granted(spent, f"e{number}", f"o{number}") for number, spent in enumerate(budgets * 5)]
    assert sum(await asyncio.gather(*tried)) == 3


async def test_the_same_step_of_the_same_event_counts_once(world: World) -> None:
    replica = await world.replica()
    spent = _budget(replica)
    assert [await _granted(spent, "e1", "o1") for _ in range(5)] == [True] * 5
    assert await _granted(spent, "e2", "o1")
    assert await _granted(spent, "e1", "o2")
    assert not await _granted(spent, "e1", "o3")
    # What was begun may be brought to its end.
    assert await _granted(spent, "e1", "o1")


async def test_it_stays_stopped_until_somebody_releases_it(world: World) -> None:
    replica = await world.replica()
    spent = _budget(replica)
    assert [await _granted(spent, "e", f"o{number}") for number in range(4)] == [True, True, True, False]
    replica.clock.ahead_s = 3 * 3600
    assert not await _granted(spent, "e", "o9")
    before = await budget.release(replica.ledger, replica.runtime, by="bob", steps=None)
    assert before.stopped_at == START
    assert [await _granted(spent, "e", f"p{number}") for number in range(4)] == [True, True, True, False]


async def test_a_release_may_be_of_so_many_steps(world: World) -> None:
    replica = await world.replica()
    spent = _budget(replica)
    assert [await _granted(spent, "e", f"o{number}") for number in range(4)] == [True, True, True, False]
    await budget.release(replica.ledger, replica.runtime, by="bob", steps=1)
    replica.clock.ahead_s = 10
    assert [await _granted(spent, "e", f"p{number}") for number in range(2)] == [True, False]
    # What was done before the release is still known.
    assert await _granted(spent, "e", "o0")
    await budget.release(replica.ledger, replica.runtime, by="bob", steps=2)
    replica.clock.ahead_s = 20
    assert [await _granted(spent, "e", f"q{number}") for number in range(3)] == [True, True, False]
    # A stretch after the last release the usual number counts again.
    await budget.release(replica.ledger, replica.runtime, by="bob", steps=1)
    replica.clock.ahead_s = 3700
    assert [await _granted(spent, "e", f"r{number}") for number in range(4)] == [True, True, True, False]


async def test_steps_leave_the_count_one_by_one(world: World) -> None:
    replica = await world.replica()
    spent = _budget(replica)
    for minutes in (0, 20, 40, 61, 81):
        replica.clock.ahead_s = minutes * 60.0
        assert await _granted(spent, "e", f"o{minutes}")
    state = await budget.state_of(replica.ledger)
    assert state.left(3, 3600, replica.runtime.now()) == 0
    assert state.left(3, 3600, replica.runtime.now() + 20 * 60) == 1


async def test_the_fullest_budget_fits_into_the_ledger(world: World) -> None:
    replica = await world.replica()
    state = budget.BudgetState()
    for name in "abc":
        for number in range(MOST_COUNTED):
            state, granted = state.spend(name_of(name, str(number)), MOST_COUNTED, 3600, START)
            assert granted
        state = state.release(budget.Release("x" * 200, START, MOST_COUNTED))
    assert (len(state.spent), len(state.before)) == (0, MOST_COUNTED)
    half, _ = state.spend(name_of("d"), MOST_COUNTED, 3600, START)
    assert (len(half.spent), len(half.before)) == (1, MOST_COUNTED - 1)
    assert await replica.ledger.set_variable(budget.VARIABLE, half.json(), version=None)
    assert await budget.state_of(replica.ledger) == half


async def test_destructive_work_waits_while_other_work_goes_on(world: World) -> None:
    destroyed: list[str] = []

    @handler(ProjectDelete, steps=("delete",), timeout_s=60)
    async def remove(ctx: Context, data: ProjectDelete) -> None:
        async def work() -> None:
            await ctx.fence.before_write(f"ecr:repository/{data.project_name}", destroys=True)
            destroyed.append(data.project_name)

        await ctx.step("delete", work)

    @handler(ProjectCreate, steps=("create",), timeout_s=60)
    async def make(ctx: Context, data: ProjectCreate) -> None:
        await ctx.step("create", lambda: ctx.fence.before_write(f"ecr:repository/{data.project_name}"))

    first = await world.replica(remove, make)
    config = BudgetConfig(destructive_steps=1)
    replica = await world.replica(remove, make, name="b", spend=_budget(first, config).spend)
    assert await replica.handle(delivery(delete(1, of=1), message_id="1")) == Delete()
    waits = await replica.handle(delivery(delete(2, of=2), message_id="2"))
    assert isinstance(waits, Defer)
    record = await replica.record(key(2))
    assert record.waiting is not None
    assert "agentd budget release" in record.waiting.message
    assert (record.attempts, record.changed) == (0, False)
    assert await replica.handle(delivery(create(3, of=3), message_id="3")) == Delete()

    await budget.release(replica.ledger, replica.runtime, by="bob", steps=None)
    assert (await replica.to_the_end(delivery(delete(2, of=2), message_id="2")))[-1] == Delete()
    assert destroyed == ["project-1", "project-2"]
    assert {outcome.kind for outcome in replica.outlet.outcomes() if outcome} == {OutcomeKind.SUCCEEDED}
