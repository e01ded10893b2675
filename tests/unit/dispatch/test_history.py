"""What was desired, and when, told again from the events that are kept."""

from collections.abc import Mapping
from typing import Any

from agentd.core import Context, Handler, PermanentError, Reason, handler
from agentd.dispatch import History, history_of
from agentd.dispatch.history import UNKNOWN
from agentd.events import (
    Event,
    ProjectConfigure,
    ProjectCreate,
    ProjectDelete,
    ProjectReconcile,
)
from tests.unit.dispatch.events import Json, create, delete, delivery, event, project, uuid
from tests.unit.dispatch.world import Replica, World, handlers_of
from tests.virtual_time import START

HOUR_S = 3600.0


@handler(ProjectCreate, steps=(), timeout_s=60)
async def made(_ctx: Context, data: ProjectCreate) -> None:
    """Fails when the name says so."""
    if data.project_name == "fails":
        raise PermanentError(Reason.INVALID_REQUEST, "as its name says")


@handler(ProjectConfigure, steps=(), timeout_s=60)
async def configured(_ctx: Context, _data: ProjectConfigure) -> None:
    """Nothing."""


@handler(ProjectDelete, steps=(), timeout_s=60)
async def deleted(_ctx: Context, data: ProjectDelete) -> None:
    """Fails without force."""
    if not data.force:
        raise PermanentError(Reason.NOT_EMPTY, "it still holds images")


@handler(ProjectReconcile, steps=(), timeout_s=60)
async def reconciled(_ctx: Context, _data: ProjectReconcile) -> None:
    """Nothing."""


HANDLERS: tuple[Handler, ...] = (made, configured, deleted, reconciled)


def configure(number: int, generation: int, **settings: str) -> str:
    data: Json = {"project_id": uuid(1), "project_name": "project-1", "settings": settings}
    return event(ProjectConfigure, number, data, generation=generation)


async def at(replica: Replica, hours: float) -> None:
    """So many hours after the test's beginning."""
    await replica.runtime.sleep(START + hours * HOUR_S - replica.runtime.now())


async def handled(replica: Replica, hours: float, text: str) -> None:
    """The event comes then."""
    await at(replica, hours)
    await replica.handle(delivery(text, message_id=f"m-{hours}", at_s=hours * HOUR_S))


async def told(replica: Replica) -> History:
    """The history of project 1, whose data is all in its messages."""

    async def fetch(found: Event) -> Event:
        return found

    history = await history_of(project(1), replica.ledger, handlers_of(*HANDLERS), fetch)
    assert history is not None
    return history


def settings_at(history: History, hours: float) -> Any:
    """What the configuration said then; None when nothing was desired."""
    config: Mapping[str, Any] | None = history.desired_at(START + hours * HOUR_S).get("config")
    return None if config is None else config.get("settings", {})


async def test_what_is_desired_now_is_what_the_ledger_says(world: World) -> None:
    replica = await world.replica(*HANDLERS)
    await handled(replica, 1, create(1, generation=1))
    await handled(replica, 2, configure(2, 2, a="1"))
    await handled(replica, 3, configure(3, 4, a="2"))
    await handled(replica, 4, configure(4, 3, a="late"))
    await handled(replica, 5, event(ProjectReconcile, 5, {"project_id": uuid(1), "project_name": "project-1"}))
    history, state = await told(replica), await replica.ledger.subject(project(1))
    assert state is not None
    assert history.desired_at(replica.runtime.now()) == state.desired
    assert history.known_since is None
    assert [(version.at, version.generation) for version in history.versions] == [
        (START + 1 * HOUR_S, 1),
        (START + 2 * HOUR_S, 2),
        (START + 3 * HOUR_S, 4),
    ], "one that came too late and a command have changed nothing"
    assert [settings_at(history, hours) for hours in (0.5, 1.5, 2.5, 3, 9)] == [
        None,
        {},
        {"a": "1"},
        {"a": "2"},
        {"a": "2"},
    ]
    assert history.claimed_at(2) == START + 2 * HOUR_S
    assert history.claimed_at(3) is None


async def test_a_delete_ends_it_once_it_has_succeeded_and_a_create_begins_anew(world: World) -> None:
    replica = await world.replica(*HANDLERS)
    await handled(replica, 1, create(1, generation=1))
    await handled(replica, 2, configure(2, 2, a="1"))
    await handled(replica, 3, delete(3, generation=3))
    forced: Json = {"project_id": uuid(1), "project_name": "project-1", "force": True}
    await handled(replica, 4, event(ProjectDelete, 4, forced, generation=4))
    await handled(replica, 6, create(6, generation=6))
    history = await told(replica)
    assert [settings_at(history, hours) for hours in (2.5, 3.5, 4.5, 6.5)] == [{"a": "1"}, {"a": "1"}, None, {}]
    assert history.desired_at(START + 4.5 * HOUR_S) == {}, "nothing is desired of what was deleted"
    assert [(version.generation, version.what, version.outcome) for version in history.versions] == [
        (1, "claimed", "succeeded"),
        (2, "claimed", "succeeded"),
        (3, "claimed", "failed"),
        (4, "claimed", "succeeded"),
        (4, "deleted", "succeeded"),
        (6, "claimed", "succeeded"),
    ]


async def test_what_was_forgotten_is_said_to_be_unknown_and_what_has_not_changed_since_is_known(world: World) -> None:
    replica = await world.replica(*HANDLERS)
    await handled(replica, 1, create(1, generation=1))
    await handled(replica, 2, configure(2, 2, a="1"))
    await at(replica, 10)
    assert await replica.ledger.purge(finished_before=replica.runtime.now()) == 0, "what was not told is kept"
    await replica.ledger.sent([entry.report_id for entry in await replica.ledger.outbox(10)])
    assert await replica.ledger.purge(finished_before=replica.runtime.now()) == 2
    quiet = await told(replica)
    assert (quiet.versions, quiet.known_since, settings_at(quiet, 0)) == ([], None, {"a": "1"})
    await handled(replica, 11, configure(3, 3, a="2"))
    history = await told(replica)
    assert history.known_since == START + 11 * HOUR_S
    assert settings_at(history, 10) is None, "what it was before has been forgotten"
    assert "spec" in history.desired_at(START), "it has been so all the time"
    assert settings_at(history, 12) == {"a": "2"}


async def test_one_that_was_redriven_counts_from_when_it_first_began(world: World) -> None:
    replica = await world.replica(*HANDLERS)
    await handled(replica, 1, create(1, name="fails"))
    await at(replica, 5)
    text = create(1, name="fails")
    await replica.handle(delivery(text, message_id="again", at_s=5 * HOUR_S, dead_letter_epoch=1))
    record = await replica.record(f"event/{uuid(1)}")
    assert (record.epoch, record.started_at) == (2, START + 5 * HOUR_S)
    (version,) = (await told(replica)).versions
    assert version.at == START + 1 * HOUR_S


async def test_data_that_is_gone_is_told_so(world: World) -> None:
    replica = await world.replica(*HANDLERS)
    await handled(replica, 1, create(1, generation=1))

    async def gone(_event: Event) -> Event:
        raise PermanentError(Reason.DATA_UNAVAILABLE, "it is not in the store any more")

    history = await history_of(project(1), replica.ledger, handlers_of(*HANDLERS), gone)
    assert history is not None
    (version,) = history.versions
    assert version.problem == "it is not in the store any more"
    assert version.desired == {"spec": UNKNOWN, "config": UNKNOWN}


async def test_a_subject_that_nobody_knows_has_none(world: World) -> None:
    replica = await world.replica(*HANDLERS)

    async def fetch(found: Event) -> Event:
        return found

    assert await history_of(project(9), replica.ledger, handlers_of(*HANDLERS), fetch) is None
