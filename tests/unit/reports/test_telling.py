"""What is told: contents of reports, progress and heartbeats, by the generated schemas too."""

import asyncio
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from agentd.core import Context, PermanentError, Reason, handler
from agentd.events import Event, ProjectCreate, ReportType, decode, report_id
from agentd.events.schema import json_schemas
from agentd.ledger import Claim, Claimed, Record, RecordState
from agentd.reports import Message, Reports
from tests.unit.dispatch.events import AUDIENCE, TRACEPARENT, create, delivery, key, project, uuid, when
from tests.unit.dispatch.world import World
from tests.unit.reports.outbox import Room
from tests.virtual_time import START, about

CREATED = "conveyor.report.project.create.v1"
Json = dict[str, Any]  # a CloudEvent, as the control plane reads it


def checked(message: Message) -> Json:
    """The CloudEvent, once it has been found to be as its own schema says."""
    event: Json = json.loads(message.body)
    validator = Draft202012Validator(json_schemas()[event["type"]], format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert [error.message for error in validator.iter_errors(event)] == []
    assert event["id"] == message.id
    return event


@handler(ProjectCreate, steps=("first", "second"), timeout_s=60)
async def create_project(ctx: Context, data: ProjectCreate) -> None:
    """Two steps of three seconds; fails for one name."""

    async def second() -> None:
        await ctx.fence.before_write("repository/one")
        for done in range(3):
            ctx.progress(f"{done} of 3 layers")
            await asyncio.sleep(1)
        if data.project_name == "forbidden":
            raise PermanentError(Reason.ACCESS_DENIED, "ecr:CreateRepository is denied")

    await ctx.step("first", lambda: asyncio.sleep(3))
    await ctx.step("second", second)


async def test_an_outcome_says_everything_and_continues_the_events_trace(room: Room, world: World) -> None:
    replica = await world.replica(create_project, outlet=room.reports())
    text = create(1, generation=4, tracestate="vendor=1")
    await replica.handle(delivery(text))
    (message,) = room.wire.taken
    assert message.group == str(project(1))
    assert checked(message) == {
        "specversion": "1.0",
        "id": report_id(key(1), 1),
        "source": "urn:conveyor:agent:tests",
        "type": CREATED,
        "subject": str(project(1)),
        "time": when(6).replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "tenantid": AUDIENCE.tenant_id,
        "clusterid": AUDIENCE.cluster_id,
        "sequence": "0000000000000002",
        "traceparent": TRACEPARENT,
        "tracestate": "vendor=1",
        "data": {
            "key": key(1),
            "event_id": uuid(1),
            "event_type": "conveyor.project.create.v1",
            "subject": str(project(1)),
            "generation": 4,
            "digest": decode(text).digest,
            "epoch": 1,
            "sequence": 2,
            "outcome": "succeeded",
            "changed": True,
            "reason": None,
            "help": None,
            "message": "",
            "step": None,
            "result": None,
            "attempts": 1,
            "timings": {
                "admitted_at": when(0).replace("+00:00", "Z"),
                "started_at": when(0).replace("+00:00", "Z"),
                "finished_at": when(6).replace("+00:00", "Z"),
            },
            "objects": ["repository/one"],
            "tenant_id": AUDIENCE.tenant_id,
            "cluster_id": AUDIENCE.cluster_id,
            "agent_version": "1.2.3",
        },
    }


async def test_a_failure_says_why_where_and_what_to_do(room: Room, world: World) -> None:
    replica = await world.replica(create_project, outlet=room.reports())
    await replica.handle(delivery(create(1, name="forbidden")))
    (message,) = room.wire.taken
    data = checked(message)["data"]
    assert (data["outcome"], data["reason"], data["step"]) == ("failed", "access_denied", "second")
    assert (data["message"], data["help"]) == ("ecr:CreateRepository is denied", Reason.ACCESS_DENIED.help)
    assert (data["changed"], data["attempts"]) == (True, 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no JSON", (None, None, None)),
        (create(1, generation=0), (uuid(1), ProjectCreate.type, str(project(1)))),
        (create(1, type="conveyor.project.conjure.v1"), (uuid(1), "conveyor.project.conjure.v1", str(project(1)))),
        (create(1, id="", subject="", type=""), ("", "", None)),
        (create(1, id=["a"], type=7, subject=None), (None, None, None)),
    ],
)
async def test_a_message_of_untrusted_origin_is_filed_under_its_own_key(
    room: Room, world: World, text: str, told: tuple[str | None, str | None, str | None]
) -> None:
    replica = await world.replica(create_project, outlet=room.reports())
    await replica.handle(delivery(text))
    (message,) = room.wire.taken
    event = checked(message)
    assert (event["type"], event["subject"]) == (ReportType.MESSAGE_REJECTED, "message/m-1")
    assert message.group == "message/m-1"
    assert (event["sequence"], "traceparent" in event) == ("0000000000000001", False)
    data = event["data"]
    assert (data["event_id"], data["event_type"], data["subject"]) == told
    assert (data["key"], data["generation"], data["digest"]) == ("message/m-1", None, None)


async def test_what_is_rejected_under_its_own_id_is_reported_as_its_type(room: Room, world: World) -> None:
    replica = await world.replica(create_project, outlet=room.reports())
    await replica.handle(delivery(create(1, tenantid=uuid(7))))
    (message,) = room.wire.taken
    event = checked(message)
    assert (event["type"], event["subject"], event["traceparent"]) == (CREATED, str(project(1)), TRACEPARENT)
    assert (event["data"]["reason"], event["tenantid"]) == ("wrong_audience", AUDIENCE.tenant_id)


async def test_sequences_of_a_subject_grow_over_its_events(room: Room, world: World) -> None:
    replica = await world.replica(create_project, outlet=room.reports())
    for generation in (2, 1, 3):
        await replica.handle(delivery(create(generation, generation=generation), message_id=f"m-{generation}"))
    await replica.handle(delivery(create(4, of=2), message_id="m-4"))
    events = [checked(message) for message in room.wire.taken]
    assert [event["data"]["outcome"] for event in events] == ["succeeded", "superseded", "succeeded", "succeeded"]
    assert [event["data"]["sequence"] for event in events] == [2, 3, 5, 2]
    texts = [event["sequence"] for event in events[:3]]
    assert texts == sorted(texts)


# -- progress ----------------------------------------------------------------------------------------------------------


async def test_progress_is_the_newest_of_each_event_and_its_order_grows(room: Room, world: World) -> None:
    replica = await world.replica(create_project, outlet=room.reports(progress_interval_s=2.2))
    await asyncio.gather(
        replica.handle(delivery(create(1))), replica.handle(delivery(create(2, of=2), message_id="m-2"))
    )
    await replica.runtime.sleep(10)
    told = room.wire.of_type(ReportType.PROGRESS)
    assert [checked(message) for message in room.wire.taken if message.id in {event["id"] for event in told}] == told
    assert len({event["id"] for event in told}) == len(told)
    mine = [event for event in told if event["data"]["event_id"] == uuid(1)]
    assert [(event["data"]["number"], event["data"]["step"], event["data"]["message"]) for event in mine] == [
        (1, "first", ""),
        (4, "second", "1 of 3 layers"),
        (5, "second", "2 of 3 layers"),
    ]
    data = mine[1]["data"]
    assert (data["step_number"], data["steps"], data["attempt"], data["epoch"], data["generation"]) == (2, 2, 1, 1, 1)
    assert (mine[0]["subject"], mine[0]["traceparent"]) == (str(project(1)), TRACEPARENT)
    outcome = next(event for event in room.wire.of_type(CREATED) if event["data"]["event_id"] == uuid(1))
    assert all(event["sequence"] < outcome["sequence"] for event in mine), "late progress is dropped by its sequence"
    assert room.metrics.registry.get_sample_value("agentd_reports_sent_total", {"kind": "progress"}) == len(told)


def tell(reports: Reports, event: Event, order: int) -> None:
    """One progress report."""
    claim = Claim(event.key, 1, event.subject, 1, "a")
    record = Record(
        key=event.key,
        event_id=event.envelope.id,
        digest=event.digest,
        type=event.envelope.type,
        subject=event.envelope.subject,
        generation=event.envelope.generation,
        event=event.text,
        state=RecordState.OPEN,
        epoch=1,
        attempts=1,
        changed=False,
        admitted_at=START,
    )
    claimed = Claimed(claim, record, attempt=1, changed=False, journal={}, sequence=1, generation=1, desired={})
    reports.progress(event, claimed, order=order, step="first", number=1, of=1, message="")


async def test_progress_goes_out_in_batches_and_what_is_lost_is_not_made_up_for(room: Room) -> None:
    reports = room.reports(progress_interval_s=1)
    await room.runtime.sleep(0.5)
    events = [decode(create(number, of=number)) for number in range(1, 26)]
    room.wire.down = True
    for event in events:
        tell(reports, event, 1)
    (pulse,) = [pulse for pulse in room.health.pulses() if pulse.loop == "progress"]
    await room.runtime.sleep(0.8)
    assert (room.wire.taken, pulse.success_age_s) == ([], about(1.3)), "the try after a second was no success"
    await room.runtime.sleep(2)
    room.wire.down = False
    room.wire.tried.clear()
    for event in events:
        tell(reports, event, 2)
    await room.runtime.sleep(3)
    assert [len(ids) for _, ids in room.wire.tried] == [10, 10, 5]
    assert [event["data"]["number"] for event in room.wire.of_type(ReportType.PROGRESS)] == [2] * 25
    assert pulse.success_age_s <= 1


# -- heartbeat ---------------------------------------------------------------------------------------------------------


async def test_heartbeats_count_and_say_who_lives(room: Room) -> None:
    room.reports(heartbeat_interval_s=30)
    await room.runtime.sleep(65)
    events = [checked(message) for message in room.wire.heartbeats]
    assert [event["data"]["number"] for event in events] == [1, 2, 3]
    assert {event["type"] for event in events} == {ReportType.HEARTBEAT}
    assert {event["subject"] for event in events} == {"agent/a"}
    assert [event["time"] for event in events] == [when(at).replace("+00:00", "Z") for at in (0, 30, 60)]
    assert len({event["id"] for event in events}) == 3
    assert "sequence" not in events[0]
    assert room.metrics.registry.get_sample_value("agentd_reports_sent_total", {"kind": "heartbeat"}) == 3


@pytest.mark.parametrize("fault", ["sick", "down", "refused"])
async def test_a_heartbeat_that_did_not_go_out_is_no_success(room: Room, fault: str) -> None:
    room.sick, room.wire.down = fault == "sick", fault == "down"
    if fault == "refused":
        room.wire.refused = Everything()
    room.reports(heartbeat_interval_s=30)
    await room.runtime.sleep(300)
    (pulse,) = [pulse for pulse in room.health.pulses() if pulse.loop == "heartbeat"]
    assert pulse.progress_age_s <= 30
    assert pulse.success_age_s == about(300)
    assert room.health.ailments() == ()
    room.sick, room.wire.down, room.wire.refused = False, False, set()
    await room.runtime.sleep(31)
    assert pulse.success_age_s <= 31
    assert checked(room.wire.heartbeats[0])["data"]["number"] > 10


class Everything(set[str]):
    """Every id."""

    def __contains__(self, _id: object) -> bool:
        return True
