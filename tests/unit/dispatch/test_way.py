"""The way of an event from its delivery to its end, and who is turned away before it."""

import asyncio

import pytest

from agentd.core import (
    Context,
    DeadLetter,
    Defer,
    Delete,
    Hold,
    Outcome,
    OutcomeKind,
    Phase,
    Reason,
    handler,
)
from agentd.events import Event, EventData, Malformed, ProjectCreate, decode
from agentd.ledger import RecordState
from tests.unit.dispatch.events import create, delete, delivery, event, key, uuid, when
from tests.unit.dispatch.world import Told, World
from tests.virtual_time import START, about


@handler(ProjectCreate, steps=("look", "write"), timeout_s=60)
async def create_project(ctx: Context, _data: ProjectCreate) -> None:
    """Takes four seconds, and writes to one object."""

    async def write() -> None:
        await ctx.fence.before_write("repository/one")
        await asyncio.sleep(3)

    await ctx.step("look", lambda: asyncio.sleep(1, "seen"))
    await ctx.step("write", write)


async def test_an_event_ends_with_its_report(world: World) -> None:
    replica = await world.replica(create_project)
    phases: list[Phase] = []
    message = delivery(create(1, expirytime=when(600)), on_phase=phases.append)
    assert await replica.handle(message) == Delete()

    (report,) = replica.outlet.reports
    assert report.outcome == Outcome(OutcomeKind.SUCCEEDED, changed=True)
    assert (report.key, report.event_id, report.type) == (key(1), uuid(1), "conveyor.project.create.v1")
    assert (report.subject, report.generation, report.epoch, report.attempts) == (f"project/{uuid(1)}", 1, 1, 1)
    assert (report.admitted_at, report.started_at, report.finished_at) == (START, START, about(START + 4))
    assert (report.expires_at, report.objects, report.digest) == (
        START + 600,
        ("repository/one",),
        decode(message.body).digest,
    )
    assert phases == [Phase.RUNNING, Phase.REPORTING]
    assert replica.outlet.told == [
        Told(uuid(1), 1, 1, "look", 1, 2, ""),
        Told(uuid(1), 1, 2, "write", 2, 2, ""),
    ]
    assert await replica.whats(key(1)) == ["admitted", "claimed", "finished"]
    stats = await replica.ledger.stats()
    assert (stats.leases, stats.open_events, stats.finished_events) == (0, 0, 1)
    labels = {"type": ProjectCreate.type, "outcome": "succeeded", "reason": ""}
    assert replica.count("event_outcomes_total", **labels) == 1
    assert replica.count("event_attempts_sum", type=ProjectCreate.type) == 1
    assert replica.health.ailments() == ()


async def test_a_duplicate_after_the_end_repeats_report_and_disposition_and_runs_nothing(world: World) -> None:
    replica = await world.replica(create_project)
    first = await replica.handle(delivery(create(1)))
    again = await replica.handle(delivery(create(1, traceparent=None), message_id="m-2"))
    assert first == again == Delete()
    assert replica.outlet.reports[0] == replica.outlet.reports[1]
    assert replica.runtime.monotonic() == about(4)
    assert (await replica.record(key(1))).attempts == 1
    assert replica.count("event_outcomes_total", type=ProjectCreate.type, outcome="succeeded", reason="") == 1
    assert (await replica.ledger.stats()).outbox == 1


async def test_a_duplicate_while_it_runs_waits_for_its_end_on_the_same_replica(world: World) -> None:
    replica = await world.replica(create_project)
    first = replica.begin(delivery(create(1)))
    await replica.runtime.sleep(2)
    assert await replica.handle(delivery(create(1), message_id="m-2")) == Delete()
    assert await first == Delete()
    assert replica.outlet.reports[0] == replica.outlet.reports[1]
    assert replica.outlet.reports[0].attempts == 1


async def test_a_duplicate_while_it_runs_comes_back_at_about_the_end_of_the_lease_on_another_replica(
    world: World,
) -> None:
    one, two = await world.replica(create_project), await world.replica(create_project, name="b")
    first = one.begin(delivery(create(1)))
    await one.runtime.sleep(2)
    given = await two.handle(delivery(create(1), message_id="m-2", at_s=2))
    assert given == Defer(about(28))
    waiting = (await two.record(key(1))).waiting
    assert waiting is not None
    assert (waiting.why, waiting.until) == ("lease", about(START + 30))
    assert f"project/{uuid(1)} is held by replica a" in waiting.message
    assert await first == Delete()
    assert await two.handle(delivery(create(1), message_id="m-2", at_s=30)) == Delete()
    assert two.outlet.reports == one.outlet.reports


async def test_a_late_older_generation_is_superseded(world: World) -> None:
    replica = await world.replica(create_project)
    await replica.handle(delivery(create(2, generation=5)))
    assert await replica.handle(delivery(create(1, generation=4), message_id="m-2")) == Delete()
    message = f"generation 5 was taken up by event {uuid(2)}"
    assert replica.outlet.outcomes()[1] == Outcome(
        OutcomeKind.SUPERSEDED, reason=Reason.NEWER_GENERATION, message=message
    )
    assert replica.outlet.reports[1].attempts == 0


async def test_the_same_generation_under_another_id_is_a_conflict(world: World) -> None:
    replica = await world.replica(create_project)
    await replica.handle(delivery(create(1, generation=4)))
    given = await replica.handle(delivery(create(2, generation=4), message_id="m-2"))
    message = f"generation: 4 was used by event {uuid(1)} already"
    assert given == DeadLetter(key(2), 1, OutcomeKind.REJECTED, Reason.CONFLICT, message)
    assert replica.outlet.reports[1].key == key(2)


@pytest.mark.parametrize("finished", [False, True])
async def test_the_same_id_with_other_content_is_a_conflict_and_leaves_the_genuine_event_alone(
    world: World, *, finished: bool
) -> None:
    replica = await world.replica(create_project)
    genuine = replica.begin(delivery(create(1)))
    await replica.runtime.sleep(5 if finished else 2)
    given = await replica.handle(delivery(create(1, generation=9), message_id="m-2", at_s=2))
    assert isinstance(given, DeadLetter)
    assert (given.key, given.epoch, given.reason) == ("message/m-2", 1, Reason.CONFLICT)
    assert await genuine == Delete()
    record = await replica.record(key(1))
    assert (record.outcome, record.generation) == (Outcome(OutcomeKind.SUCCEEDED, changed=True), 1)
    forged = await replica.record("message/m-2")
    assert (forged.event_id, forged.subject) == (uuid(1), f"project/{uuid(1)}")


async def test_of_two_contents_under_one_id_that_are_refused_at_once_one_alone_has_the_id(world: World) -> None:
    replica = await world.replica(create_project)
    expired = [create(1, generation=generation, expirytime=when(-5)) for generation in (1, 9)]
    given = await asyncio.gather(
        *(replica.handle(delivery(body, message_id=f"m-{number}")) for number, body in enumerate(expired))
    )
    assert [(letter.key, letter.reason) for letter in given if isinstance(letter, DeadLetter)] == [
        (key(1), Reason.EXPIRED),
        ("message/m-1", Reason.CONFLICT),
    ]


def only_signed(event: Event) -> None:
    """Believes nothing without a signature."""
    if event.envelope.signature is None:
        raise Malformed("signature: is missing", reason=Reason.BAD_SIGNATURE, attributes={"id": event.envelope.id})


async def test_an_event_that_is_not_believed_leaves_no_trace_under_its_id(world: World) -> None:
    replica = await world.replica(create_project, verify=only_signed)
    forged = await replica.handle(delivery(create(1)))
    assert isinstance(forged, DeadLetter)
    assert (forged.key, forged.reason) == ("message/m-1", Reason.BAD_SIGNATURE)
    swept = await replica.dispatcher.sweep(delivery(create(1), message_id="m-2"))
    assert isinstance(swept, DeadLetter)
    assert swept.key == "message/m-2"
    assert await replica.ledger.lookup(key(1)) is None
    assert await replica.handle(delivery(create(1, signature="e30..e30"), message_id="m-3")) == Delete()


class OfTomorrow(EventData):
    """An event that this agent does not know yet."""

    type = "conveyor.project.rename.v1"


@pytest.mark.parametrize(
    ("text", "reason", "found"),
    [
        ("not JSON", Reason.MALFORMED, "$: no JSON"),
        ("[]", Reason.MALFORMED, "$: expected an object"),
        (create(1, of=1, name="No"), Reason.MALFORMED, "data.project_name: found 'No'"),
        (create(1, generation=0), Reason.MALFORMED, "generation: found 0"),
        (
            event(OfTomorrow, 1, {"project_id": uuid(1)}),
            Reason.UNKNOWN_TYPE,
            "type: found 'conveyor.project.rename.v1'",
        ),
    ],
)
async def test_what_is_no_event_ends_under_the_messages_own_key(
    world: World, text: str, reason: Reason, found: str
) -> None:
    replica = await world.replica(create_project)
    given = await replica.handle(delivery(text))
    assert isinstance(given, DeadLetter)
    assert (given.key, given.epoch, given.outcome, given.reason) == ("message/m-1", 1, OutcomeKind.REJECTED, reason)
    assert given.message.startswith(found)
    (report,) = replica.outlet.reports
    assert (report.key, report.event, report.attempts) == ("message/m-1", text, 0)
    assert await replica.ledger.lookup(key(1)) is None
    assert (await replica.ledger.stats()).subjects == 0
    known = report.type if report.type == ProjectCreate.type else "unknown"
    assert replica.count("event_outcomes_total", type=known, outcome="rejected", reason=reason.value) == 1


async def test_what_is_no_event_ends_once_however_often_it_comes(world: World) -> None:
    replica = await world.replica(create_project)
    first = await replica.handle(delivery("nonsense"))
    assert await replica.handle(delivery("nonsense")) == first
    assert replica.outlet.reports[0] == replica.outlet.reports[1]
    assert replica.count("event_outcomes_total", type="unknown", outcome="rejected", reason="malformed") == 1


@pytest.mark.parametrize(
    ("text", "reason", "found"),
    [
        (create(1, tenantid=uuid(7)), Reason.WRONG_AUDIENCE, f"tenantid: found {uuid(7)}"),
        (create(1, clusterid=uuid(7)), Reason.WRONG_AUDIENCE, f"clusterid: found {uuid(7)}"),
        (create(1, expirytime=when(-1)), Reason.EXPIRED, "expirytime: "),
        (delete(1), Reason.UNSUPPORTED, "no handler for conveyor.project.delete.v1"),
    ],
)
async def test_what_may_not_be_carried_out_is_rejected_under_its_own_key(
    world: World, text: str, reason: Reason, found: str
) -> None:
    replica = await world.replica(create_project)
    given = await replica.handle(delivery(text))
    assert isinstance(given, DeadLetter)
    assert (given.key, given.outcome, given.reason) == (key(1), OutcomeKind.REJECTED, reason)
    assert given.message.startswith(found)
    (report,) = replica.outlet.reports
    assert (report.event_id, report.attempts, report.changed) == (uuid(1), 0, False)
    assert await replica.handle(delivery(text, message_id="m-2")) == given
    assert replica.outlet.reports[1] == report
    assert "claimed" not in await replica.whats(key(1))


async def test_an_event_seen_before_its_expiry_is_carried_out_after_it(world: World) -> None:
    away = await world.replica(create_project)
    text = create(1, expirytime=when(10))
    begun = away.begin(delivery(text))
    await away.runtime.sleep(2)
    await away.crash()
    assert begun.cancelled()
    replica = await world.replica(create_project, name="b")
    await replica.runtime.sleep(60)
    assert await replica.handle(delivery(text, message_id="m-2", at_s=62)) == Delete()
    assert replica.outlet.reports[0].attempts == 2


AT_WORK = {"waits_for": None, "behind": None}
BEHIND = {"waits_for": Hold.LANE, "behind": uuid(1)}


async def test_status_tells_what_waits_and_what_runs(world: World) -> None:
    replica = await world.replica(create_project)
    assert replica.dispatcher.status() == []
    first = replica.begin(delivery(create(1)))
    second = replica.begin(delivery(create(2, generation=2), message_id="m-2"))
    await replica.runtime.sleep(2)
    shared = {"type": "conveyor.project.create.v1", "subject": f"project/{uuid(1)}"}
    found = sorted(replica.dispatcher.status(), key=lambda work: str(work["event_id"]))
    assert found == [
        {**shared, "event_id": uuid(1), "generation": 1, "running_s": 2.0, "step": "write", **AT_WORK},
        {**shared, "event_id": uuid(2), "generation": 2, "running_s": None, "step": None, **BEHIND},
    ]
    assert replica.count("events_waiting", why="lane") == 1
    assert list(await asyncio.gather(first, second)) == [Delete(), Delete()]
    assert replica.dispatcher.status() == []
    assert replica.count("events_waiting", why="lane") == 0


async def test_a_record_is_open_until_its_end_is_durable(world: World) -> None:
    replica = await world.replica(create_project)
    first = replica.begin(delivery(create(1)))
    await replica.runtime.sleep(1)
    assert (await replica.record(key(1))).state is RecordState.OPEN
    await first
    assert (await replica.record(key(1))).state is RecordState.FINISHED
