"""Events of one subject in the wrong order: what comes too early waits, what comes late for a part does the rest."""

from typing import Any

from agentd.core import Context, DeadLetter, Defer, Delete, OutcomeKind, Reason, handler
from agentd.events import POWER, SPEC, EnvironmentCreate, EnvironmentDeploy, EnvironmentHibernate, EnvironmentUpdate
from tests.unit.dispatch.events import delivery, event, key, uuid, when
from tests.unit.dispatch.world import World

seen: list[tuple[str, int, Any]] = []


@handler(EnvironmentCreate, steps=(), timeout_s=10)
async def create(ctx: Context, data: EnvironmentCreate) -> None:
    """Remember what is to be made."""
    seen.append(("create", ctx.generation, ctx.desired(SPEC)["description"]))


@handler(EnvironmentUpdate, steps=(), timeout_s=10)
async def update(ctx: Context, data: EnvironmentUpdate) -> None:
    """Remember what is to be changed."""
    seen.append(("update", ctx.generation, ctx.desired(SPEC)["description"]))


@handler(EnvironmentDeploy, steps=(), timeout_s=10)
async def deploy(ctx: Context, data: EnvironmentDeploy) -> None:
    """Remember which environment it is that is deployed to."""
    seen.append(("deploy", ctx.generation, ctx.desired(SPEC)["description"]))


@handler(EnvironmentHibernate, steps=(), timeout_s=10)
async def hibernate(ctx: Context, data: EnvironmentHibernate) -> None:
    """Remember that it is to stop."""
    seen.append(("hibernate", ctx.generation, ctx.desired(POWER)))


ALL = (create, update, deploy, hibernate)


def of(data_class: Any, number: int, generation: int, **data: Any) -> str:
    """An event of the one environment there is."""
    whole = {"environment_id": uuid(1), "environment_name": "dev", **data}
    return event(data_class, number, whole, generation=generation)


def spec(text: str) -> dict[str, Any]:
    """A spec that can be told from others."""
    return {"spec": {"description": text}}


async def test_an_update_waits_for_the_create_that_comes_late(world: World) -> None:
    seen.clear()
    replica = await world.replica(*ALL)
    early = delivery(of(EnvironmentUpdate, 2, 2, **spec("second")), message_id="m-2")
    assert isinstance(await replica.handle(early), Defer)
    record = await replica.record(key(2))
    assert record.waiting is not None
    assert (record.waiting.why, record.attempts) == ("subject", 0)
    assert isinstance(await replica.handle(delivery(of(EnvironmentCreate, 1, 1, **spec("first")))), Delete)
    assert isinstance(await replica.handle(early), Delete)
    assert seen == [("create", 1, "first"), ("update", 2, "second")]


async def test_what_waits_in_vain_for_its_subject_fails_when_it_expires(world: World) -> None:
    replica = await world.replica(*ALL)
    text = event(EnvironmentHibernate, 3, {"environment_id": uuid(1), "environment_name": "dev"}, expirytime=when(60))
    await replica.to_the_end(delivery(text))
    outcome = (await replica.record(key(3))).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, Reason.DEFERRED_TOO_LONG)
    assert "has not been created" in outcome.message


async def test_on_a_fifo_queue_what_comes_too_early_ends_at_once_for_nothing_can_overtake_it(world: World) -> None:
    replica = await world.replica(*ALL)
    text = of(EnvironmentUpdate, 5, 2, **spec("second"))
    early = delivery(text, group=f"environment/{uuid(1)}")
    assert isinstance(await replica.handle(early), DeadLetter)
    outcome = (await replica.record(key(5))).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, Reason.DEFERRED_TOO_LONG)
    assert "nothing overtakes" in outcome.message
    other = delivery(of(EnvironmentUpdate, 6, 2, **spec("second")), message_id="m-6", group="another order")
    assert isinstance(await replica.handle(other), Defer)


async def test_what_is_late_for_one_facet_works_with_the_newest_of_it(world: World) -> None:
    seen.clear()
    replica = await world.replica(*ALL)
    await replica.handle(delivery(of(EnvironmentCreate, 1, 1, **spec("first"))))
    await replica.handle(delivery(of(EnvironmentUpdate, 3, 3, **spec("third")), message_id="m-3"))
    late = of(EnvironmentDeploy, 2, 2, projects=[], **spec("second"))
    assert isinstance(await replica.handle(delivery(late, message_id="m-2")), Delete)
    assert seen[-1] == ("deploy", 3, "third")
    assert (await replica.record(key(2))).outcome is not None
    older = of(EnvironmentUpdate, 4, 2, **spec("too late"))
    await replica.handle(delivery(older, message_id="m-4"))
    outcome = (await replica.record(key(4))).outcome
    assert outcome is not None
    assert outcome.kind is OutcomeKind.SUPERSEDED
