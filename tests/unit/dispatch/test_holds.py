"""Every reason why an event waits can be come by, and is explained with what would let it go on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import pytest

from agentd.core import Context, Hold, NotReady, Reason, TransientError, handler
from agentd.dispatch import explain
from agentd.dispatch.policy import Budget, BudgetConfig, intake
from agentd.events import EnvironmentHibernate, ProjectCreate, ProjectDelete
from agentd.ledger import Waiting
from tests.unit.dispatch.events import create, delete, delivery, event, key, uuid
from tests.unit.dispatch.test_trouble import Shelf, checked
from tests.unit.dispatch.world import Replica, World

AT_WORK_S = 20.0


@handler(ProjectCreate, steps=("first", "second"), timeout_s=600)
async def create_project(ctx: Context, data: ProjectCreate) -> None:
    """Does as the project's name says; by default it works for a while."""

    async def first() -> None:
        match data.project_name:
            case "waits":
                raise NotReady("the namespace is terminating")
            case "throttled":
                raise TransientError(Reason.THROTTLED, "slow down", retry_after=60)
            case "quick":
                return
            case _:
                await asyncio.sleep(AT_WORK_S)

    async def second() -> None:
        return

    await ctx.step("first", first)
    await ctx.step("second", second)


@handler(ProjectDelete, steps=("delete",), timeout_s=600)
async def delete_project(ctx: Context, _data: ProjectDelete) -> None:
    """Takes a while."""
    await ctx.step("delete", lambda: asyncio.sleep(AT_WORK_S))


@handler(EnvironmentHibernate, steps=(), timeout_s=60)
async def hibernate(_ctx: Context, _data: EnvironmentHibernate) -> None:
    """Nothing to do."""


HANDLERS = (create_project, delete_project, hibernate)


async def behind_its_own_subject(world: World) -> Replica:
    replica = await world.replica(*HANDLERS)
    replica.begin(delivery(create(2, generation=2), message_id="m-2"))
    await replica.runtime.sleep(1)
    await replica.handle(delivery(create(1, generation=3), message_id="m-1"))
    return replica


async def without_a_place(world: World) -> Replica:
    replica = await world.replica(*HANDLERS, max_running=1)
    replica.begin(delivery(create(2, of=2), message_id="m-2"))
    await replica.runtime.sleep(1)
    await replica.handle(delivery(create(1)))
    return replica


async def beyond_its_share(world: World) -> Replica:
    """No event of today's catalogue shares a flow with another subject's: the place is taken in its stead."""
    replica = await world.replica(*HANDLERS, max_running=2)
    async with replica.dispatcher._places.place(f"project/{uuid(1)}", wait_s=1):
        await replica.handle(delivery(create(1)))
    return replica


async def behind_another_replica(world: World) -> Replica:
    other = await world.replica(*HANDLERS, name="b")
    other.begin(delivery(create(2, generation=2), message_id="m-2"))
    await other.runtime.sleep(1)
    replica = await world.replica(*HANDLERS)
    await replica.handle(delivery(create(1, generation=3)))
    await other.runtime.sleep(AT_WORK_S)
    return replica


async def of_a_name_that_is_being_deleted(world: World) -> Replica:
    replica = await world.replica(*HANDLERS)
    await replica.handle(delivery(create(2, of=2, name="quick"), message_id="m-2"))
    replica.begin(delivery(delete(3, of=2, name="quick", generation=2), message_id="m-3"))
    await replica.runtime.sleep(1)
    await replica.handle(delivery(create(1, of=1, name="quick")))
    return replica


async def before_its_subject(world: World) -> Replica:
    replica = await world.replica(*HANDLERS)
    data = {"environment_id": uuid(1), "environment_name": "dev"}
    await replica.handle(delivery(event(EnvironmentHibernate, 1, data)))
    return replica


async def preempted_by_a_delete(world: World) -> Replica:
    replica = await world.replica(*HANDLERS)
    older = replica.begin(delivery(create(1, generation=1)))
    await replica.runtime.sleep(1)
    replica.begin(delivery(delete(2, generation=2), message_id="m-2"))
    await older
    return replica


async def after_not_ready(world: World) -> Replica:
    replica = await world.replica(*HANDLERS)
    await replica.handle(delivery(create(1, name="waits")))
    return replica


async def after_a_passing_fault(world: World) -> Replica:
    replica = await world.replica(*HANDLERS)
    await replica.handle(delivery(create(1, name="throttled")))
    return replica


async def without_its_data(world: World) -> Replica:
    replica = await world.replica(*HANDLERS, artifacts=Shelf({}, out_of_reach=1))
    await replica.handle(delivery(checked(1, b"{}")))
    return replica


REACHED: Mapping[Hold, tuple[Callable[[World], Awaitable[Replica]], str]] = MappingProxyType(
    {
        Hold.LANE: (behind_its_own_subject, f"event {uuid(2)} has gone before it for 5 s"),
        Hold.SLOT: (without_a_place, "all 1 running places have been in use for 5 s"),
        Hold.SHARE: (beyond_its_share, "has had its share of the running places for 5 s"),
        Hold.LEASE: (behind_another_replica, "is held by replica b"),
        Hold.NAME: (of_a_name_that_is_being_deleted, "the name quick is not free before project/"),
        Hold.SUBJECT: (before_its_subject, "has not been created: nothing is known of its"),
        Hold.PREEMPTED: (preempted_by_a_delete, "a newer delete of project/"),
        Hold.WAITING: (after_not_ready, "the namespace is terminating"),
        Hold.RETRY: (after_a_passing_fault, "attempt 1: slow down"),
        Hold.ARTIFACTS: (without_its_data, "S3 does not answer"),
    }
)
"""How to come by each, and what the message says."""


@pytest.mark.parametrize("hold", REACHED)
async def test_what_holds_an_event_up_is_in_the_ledger_and_explained(world: World, hold: Hold) -> None:
    come_by, message = REACHED[hold]
    replica = await come_by(world)
    (found,) = (await explain(replica.ledger, uuid(1), now=replica.runtime.now())).events
    assert found.hold is hold
    assert found.verdict.startswith(f"waits ({hold}): ")
    assert message in found.verdict
    assert found.unblock == hold.help
    assert found.transitions[-1].what == "waiting"
    assert found.transitions[-1].detail.startswith(f"{hold}: ")


async def test_every_hold_says_what_would_let_the_event_go_on(world: World) -> None:
    replica = await world.replica(*HANDLERS)
    await replica.handle(delivery(create(1, name="waits")))
    now = replica.runtime.now()
    for hold in Hold:
        await replica.ledger.wait(key(1), Waiting(hold, "as the message says", now + 30), now=now)
        (found,) = (await explain(replica.ledger, uuid(1), now=now)).events
        assert found.verdict == f"waits ({hold}): as the message says; it is looked at again in 30 s"
        assert (found.hold, found.unblock) == (hold, hold.help)
        assert hold.help.endswith(".")


async def test_a_hold_of_another_version_is_told_in_its_own_words(world: World) -> None:
    replica = await world.replica(*HANDLERS)
    await replica.handle(delivery(create(1, name="waits")))
    now = replica.runtime.now()
    await replica.ledger.wait(key(1), Waiting("full-moon", "clouds", now + 30), now=now)
    (found,) = (await explain(replica.ledger, uuid(1), now=now)).events
    assert found.verdict == "waits (full-moon): clouds; it is looked at again in 30 s"
    assert (found.hold, found.unblock) == (None, "")


async def test_what_holds_everything_up_is_told_first(world: World) -> None:
    replica = await world.replica(*HANDLERS)
    await intake.pause(replica.ledger, replica.runtime, by="ada", why="an audit")
    budget = Budget(BudgetConfig(destructive_steps=1), replica.ledger, replica.runtime)
    await budget.spend(uuid(1), "ecr:repository/a")
    with pytest.raises(NotReady):
        await budget.spend(uuid(2), "ecr:repository/b")
    answer = await explain(replica.ledger, uuid(1), now=replica.runtime.now())
    assert answer.events == []
    assert [(notice.hold, notice.message.partition(" 2023-")[0]) for notice in answer.notices] == [
        (Hold.PAUSED, "intake was paused by ada at"),
        (Hold.BUDGET, "destructive steps wait since"),
    ]
    assert answer.notices[0].message.endswith(": an audit")
