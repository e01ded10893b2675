"""Every call, as a client that shares no code with the server gets it."""

from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo

from agentd.core import (
    DeadLetterAccount,
    EventAccount,
    Happening,
    Hold,
    NoticeAccount,
    OriginAccount,
    PermanentError,
    Presence,
    Reason,
    RedriveAccount,
    SubjectAccount,
    TransientError,
)
from agentd.platform import Node
from proxy.generated.v1 import agent_pb2 as agent
from proxy.generated.v1 import cluster_pb2 as cluster
from proxy.generated.v1 import environments_pb2 as environments
from tests.unit.proxy.fakes import STATUS, deployment, environment_id, namespace
from tests.unit.proxy.rig import Failure, Rig, channel_to, failure, serving, unary

PACKAGE = "/conveyor.proxy.v1."
MESSAGES = {"Agent": agent, "Environments": environments, "Cluster": cluster}
NODE = Node(
    "node-1", True, "v1.36.2", "m7g.large", "eu-west-1a", "arm64", {"cpu": "2"}, created_at="2026-01-02T03:04:05Z"
)


async def _call(rig: Rig, service: str, method: str, request: Any) -> Any:
    async with channel_to(rig) as channel:
        return await _begin(channel, service, method, request)


async def _failing(rig: Rig, service: str, method: str, request: Any) -> Failure:
    async with channel_to(rig) as channel:
        return await failure(_begin(channel, service, method, request))


def _begin(channel: grpc.aio.Channel, service: str, method: str, request: Any, **named: Any) -> Any:
    described = MESSAGES[service].DESCRIPTOR.services_by_name[service].methods_by_name[method]
    answer = getattr(MESSAGES[service], described.output_type.name)
    return unary(channel, f"{PACKAGE}{service}/{method}", answer)(request, **named)


async def test_version() -> None:
    async with serving() as rig:
        answer = await _call(rig, "Agent", "GetVersion", agent.GetVersionRequest())
    assert MessageToDict(answer, preserving_proto_field_name=True) == {
        "version": "1.2.3",
        "replica": "replica-1",
        "tenant_id": "t",
        "cluster_id": "c",
        "owner_id": "owner-1",
        "event_types": ["conveyor.project.create.v1"],
    }
    assert rig.calls("conveyor.proxy.v1.Agent", "GetVersion", "OK") == 1


async def test_status_is_the_document_of_the_status_page() -> None:
    async with serving() as rig:
        answer = await _call(rig, "Agent", "GetStatus", agent.GetStatusRequest())
    found = MessageToDict(answer, preserving_proto_field_name=True)
    assert (found["version"], found["replica"], found["uptime"]) == ("1.2.3", "replica-1", "12.500s")
    assert found["paused_reasons"] == STATUS["intake_paused"]
    assert found["held"] == {"buffered": "3", "running": "2"}
    assert found["work"][0]["running"] == "1.500s"
    assert "running" not in found["work"][1]
    assert found["loops"] == [
        {"name": "outbox", "progress_age": "0.500s", "success_age": "1s", "doing": "sleeping"},
    ]
    assert found["oldest_held"] == {"message_id": "m-1", "phase": "buffered", "held": "3s"}
    assert found["oldest_running"] == {"event_id": "e", "type": "conveyor.project.create.v1", "running": "1.500s"}
    assert found["ledger"]["oldest_open_time"] == "2023-11-14T22:13:20.250Z"
    assert found["ledger"]["waiting"] == {"lane": "2"}
    assert found["ailments"] == ["loop x is late"]


def _account(**changes: Any) -> EventAccount:
    given: dict[str, Any] = {
        "key": "event/e",
        "event_id": "e",
        "type": "conveyor.project.create.v1",
        "subject": "project/p",
        "generation": 3,
        "state": "finished",
        "epoch": 2,
        "attempts": 4,
        "changed": True,
        "verdict": "failed",
        "outcome": "failed",
        "reason": "in_use",
        "reason_help": "Something still uses it.",
        "message": "an environment uses it",
        "failing_step": "delete repository",
        "admitted_at": 1_700_000_000.0,
        "finished_at": 1_700_000_001.5,
        "objects": ("ecr:p",),
        "steps": ("look",),
        "happenings": (Happening(1_700_000_000.0, 2, "claimed", "attempt 4"),),
    }
    return EventAccount(**{**given, **changes})


async def test_explain() -> None:
    async with serving() as rig:
        rig.agent.accounts = (
            _account(),
            _account(
                event_id=None, type=None, generation=None, state="open", outcome=None, reason=None, finished_at=None
            ),
        )
        answer = await _call(rig, "Agent", "Explain", agent.ExplainRequest(name="project/p"))
    assert rig.agent.asked == [("explain", "project/p")]
    ended, still_open = answer.events
    assert (ended.state, ended.outcome) == (agent.EVENT_STATE_FINISHED, agent.OUTCOME_FAILED)
    assert (ended.epoch, ended.attempts, ended.generation, ended.failing_step) == (2, 4, 3, "delete repository")
    assert ended.finish_time.ToJsonString() == "2023-11-14T22:13:21.500Z"
    assert (list(ended.objects), list(ended.steps)) == (["ecr:p"], ["look"])
    assert [(one.what, one.detail, one.epoch) for one in ended.happenings] == [("claimed", "attempt 4", 2)]
    assert (still_open.state, still_open.outcome) == (agent.EVENT_STATE_OPEN, agent.OUTCOME_UNSPECIFIED)
    assert not still_open.HasField("generation")
    assert not still_open.HasField("finish_time")
    assert not answer.incomplete
    assert not still_open.HasField("here")


async def test_explain_says_why_an_event_waits_and_what_would_let_it_go_on() -> None:
    async with serving() as rig:
        rig.agent.accounts = (
            _account(
                admitted_at=None,
                finished_at=None,
                hold=Hold.LANE,
                unblock=Hold.LANE.help,
                here=Presence("replica-1", None, None, "lane", "d"),
            ),
            _account(here=Presence("replica-1", 2.5, "look", None, None)),
        )
        rig.agent.subjects = (
            SubjectAccount(
                subject="project/p",
                facets={"spec": 3, "config": 2},
                desired=("spec",),
                names=(("project", "shop"),),
                tombstone=None,
                held_by_key="event/d",
                held_by_replica="replica-2",
                held_until=1_700_000_030.0,
            ),
            SubjectAccount("project/q", {}, (), (), 7, None, None, None),
        )
        rig.agent.notices = (NoticeAccount(Hold.PAUSED, "intake was paused by ada", Hold.PAUSED.help),)
        answer = await _call(rig, "Agent", "Explain", agent.ExplainRequest(name="project/p"))
    found = MessageToDict(answer, preserving_proto_field_name=True)
    waiting, running = found["events"]
    assert (waiting["hold"], waiting["unblock"]) == ("lane", Hold.LANE.help)
    assert waiting["here"] == {"replica": "replica-1", "hold": "lane", "behind": "d"}
    assert "admit_time" not in waiting
    assert running["here"] == {"replica": "replica-1", "running": "2.500s", "step": "look"}
    held, deleted = found["subjects"]
    assert held == {
        "subject": "project/p",
        "facets": [
            {"name": "spec", "generation": "3", "desired": True},
            {"name": "config", "generation": "2"},
        ],
        "names": [{"kind": "project", "name": "shop"}],
        "held_by_key": "event/d",
        "held_by_replica": "replica-2",
        "held_until": "2023-11-14T22:13:50Z",
    }
    assert deleted == {"subject": "project/q", "tombstone": "7"}
    assert found["notices"] == [
        {"hold": "paused", "message": "intake was paused by ada", "unblock": Hold.PAUSED.help},
    ]


async def test_explain_leads_from_an_object_to_its_event() -> None:
    async with serving() as rig:
        path = ("kubernetes:dev/pod/web-1", "kubernetes:dev/deployment/web")
        rig.agent.origin = OriginAccount(path, "environment/e", 2, "e", "4bf92f3577b34da6a3ce929d0e0e4736")
        rig.agent.accounts = (_account(trace_id="4bf92f3577b34da6a3ce929d0e0e4736"),)
        answer = await _call(rig, "Agent", "Explain", agent.ExplainRequest(name="pod/dev/web-1"))
        rig.agent.origin = OriginAccount(path[:1], None, None, None, None)
        of_nobody = await _call(rig, "Agent", "Explain", agent.ExplainRequest(name="pod/dev/web-1"))
    assert MessageToDict(answer.origin, preserving_proto_field_name=True) == {
        "path": list(path),
        "subject": "environment/e",
        "generation": "2",
        "event_id": "e",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    assert answer.events[0].trace_id == answer.origin.trace_id
    assert MessageToDict(of_nobody.origin) == {"path": list(path[:1])}


async def test_explain_tells_of_the_newest_fifty() -> None:
    async with serving() as rig:
        rig.agent.accounts = [_account(key=f"event/{number}") for number in range(51)]
        answer = await _call(rig, "Agent", "Explain", agent.ExplainRequest(name="project/p"))
    assert [event.key for event in answer.events] == [f"event/{number}" for number in range(50)]
    assert answer.incomplete


def _letter(number: int, **changes: Any) -> DeadLetterAccount:
    given: dict[str, Any] = {
        "message_id": f"m{number}",
        "key": f"event/{number}",
        "epoch": 1,
        "event_id": str(number),
        "type": "t",
        "subject": "project/p",
        "outcome": "rejected",
        "reason": "expired",
        "message": "too late",
        "sent_at": 1_700_000_000.0 + number // 2,
    }
    return DeadLetterAccount(**{**given, **changes})


async def test_dead_letters_come_in_pages_the_oldest_first() -> None:
    async with serving() as rig:
        rig.agent.letters = [_letter(number) for number in reversed(range(5))]
        rig.agent.letters.append(
            DeadLetterAccount("moved", None, None, None, None, None, None, None, None, None)  # by the queue itself
        )
        seen, token = [], ""
        async with channel_to(rig) as channel:
            while True:
                request = agent.ListDeadLettersRequest(page_size=4, page_token=token)
                answer = await _begin(channel, "Agent", "ListDeadLetters", request)
                seen.append([letter.message_id for letter in answer.dead_letters])
                token = answer.next_page_token
                if not token:
                    break
    assert seen == [["moved", "m0", "m1", "m2"], ["m3", "m4"]]
    assert rig.agent.asked == [("dead_letters", 1000)] * 2
    assert not answer.incomplete
    last = answer.dead_letters[-1]
    assert (last.outcome, last.reason, last.epoch) == (agent.OUTCOME_REJECTED, "expired", 1)


async def test_dead_letters_say_when_there_are_more_than_were_looked_at() -> None:
    async with serving() as rig:
        rig.agent.letters = [_letter(number) for number in range(1001)]
        answer = await _call(rig, "Agent", "ListDeadLetters", agent.ListDeadLettersRequest())
    assert len(answer.dead_letters) == 50
    assert answer.incomplete


async def test_redrive() -> None:
    first, second = environment_id(1), environment_id(2)
    async with serving() as rig:
        rig.agent.redriven = RedriveAccount((first,), 9)
        answer = await _call(rig, "Agent", "Redrive", agent.RedriveRequest(event_ids=[first, second], limit=7))
        everything = await _call(rig, "Agent", "Redrive", agent.RedriveRequest(all=True))
    assert rig.agent.asked == [("redrive", (first, second), 7), ("redrive", (), 100)]
    assert (list(answer.redriven_ids), list(answer.missing_ids), answer.looked_at) == ([first], [second], 9)
    assert list(everything.missing_ids) == []


async def test_environments() -> None:
    async with serving() as rig:
        rig.objects.put(namespace("sleepy", 2, power="hibernated", generation=4))
        rig.objects.put(namespace("dev", 1))
        rig.objects.put(namespace("foreign", 3, owner="somebody-else"))
        rig.objects.put(deployment("dev", 1, "zeta", "b2"))
        rig.objects.put(deployment("dev", 1, "alpha", "b1"))
        rig.objects.put(deployment("agent", 9, "of-no-environment", "b3"))
        listed = await _call(rig, "Environments", "List", environments.EnvironmentsListRequest())
        got = await _call(
            rig, "Environments", "Get", environments.EnvironmentsGetRequest(environment_id=environment_id(1))
        )
    dev, sleepy = listed.environments
    assert dev == got.environment
    assert (sleepy.name, sleepy.state, sleepy.generation) == ("sleepy", environments.ENVIRONMENT_STATE_HIBERNATED, 4)
    assert MessageToDict(dev, preserving_proto_field_name=True) == {
        "id": environment_id(1),
        "name": "dev",
        "state": "ENVIRONMENT_STATE_ACTIVE",
        "generation": "1",
        "labels": {"team": "data"},
        "airflow_version": "3.3.0",
        "deletion_protected": True,
        "projects": [
            {"id": "id-of-alpha", "name": "alpha", "build_id": "b1", "digest": "sha256:b1"},
            {"id": "id-of-zeta", "name": "zeta", "build_id": "b2", "digest": "sha256:b2"},
        ],
        "create_time": "2026-01-02T03:04:05Z",
    }


async def test_environments_come_in_pages() -> None:
    names = [f"e{number:03d}" for number in range(101)]
    async with serving() as rig:
        for number, name in enumerate(names):
            rig.objects.put(namespace(name, number))
        first = await _call(rig, "Environments", "List", environments.EnvironmentsListRequest())
        second = await _call(
            rig, "Environments", "List", environments.EnvironmentsListRequest(page_token=first.next_page_token)
        )
    assert [one.name for one in first.environments] == names[:100]
    assert [one.name for one in second.environments] == names[100:]
    assert second.next_page_token == ""


async def test_an_environment_that_is_not_there() -> None:
    async with serving() as rig:
        rig.objects.put(namespace("foreign", 3, owner="somebody-else"))
        request = environments.EnvironmentsGetRequest(environment_id=environment_id(3))
        found = await _failing(rig, "Environments", "Get", request)
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "ENVIRONMENT_NOT_FOUND")
    assert dict(found.details[ErrorInfo].metadata) == {"environment_id": environment_id(3)}


async def test_cluster_health() -> None:
    async with serving() as rig:
        rig.objects.machines = (NODE, Node("node-2", False, "v1.36.2", None, None, "arm64", {}))
        well = await _call(rig, "Cluster", "GetHealth", cluster.GetHealthRequest())
        rig.objects.ailment = "etcd failed"
        ill = await _call(rig, "Cluster", "GetHealth", cluster.GetHealthRequest())
        down = TransientError(Reason.UNAVAILABLE, "the API server does not answer")
        rig.objects.errors = {"healthy": down, "version": down, "nodes": down}
        gone = await _call(rig, "Cluster", "GetHealth", cluster.GetHealthRequest())
    assert (well.api_server_ready, well.version, well.nodes_ready, well.nodes_total) == (True, "v1.36.2", 1, 2)
    assert well.message == ""
    assert (ill.api_server_ready, ill.message) == (False, "etcd failed")
    assert (gone.api_server_ready, gone.version, gone.nodes_total) == (False, "", 0)
    assert gone.message == "the API server does not answer"


async def test_nodes() -> None:
    async with serving() as rig:
        rig.objects.machines = (NODE, Node("a", True, "v1", None, None, "amd64", {}, conditions=("DiskPressure",)))
        answer = await _call(rig, "Cluster", "GetNodes", cluster.GetNodesRequest(page_size=1))
        rest = await _call(rig, "Cluster", "GetNodes", cluster.GetNodesRequest(page_token=answer.next_page_token))
    assert [(node.name, list(node.conditions)) for node in answer.nodes] == [("a", ["DiskPressure"])]
    (node,) = rest.nodes
    assert (node.name, node.zone, node.instance_type, dict(node.capacity)) == (
        "node-1",
        "eu-west-1a",
        "m7g.large",
        {"cpu": "2"},
    )
    assert node.create_time.ToJsonString() == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("service", "method", "request_"),
    [
        ("Environments", "List", environments.EnvironmentsListRequest()),
        ("Environments", "Get", environments.EnvironmentsGetRequest(environment_id=environment_id(1))),
        ("Cluster", "GetHealth", cluster.GetHealthRequest()),
        ("Cluster", "GetNodes", cluster.GetNodesRequest()),
    ],
)
async def test_an_installation_without_a_cluster(service: str, method: str, request_: Any) -> None:
    async with serving(cluster=False) as rig:
        found = await _failing(rig, service, method, request_)
        await _call(rig, "Agent", "GetVersion", agent.GetVersionRequest())
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_CLUSTER")
    assert found.message.startswith("this installation has no cluster")


@pytest.mark.parametrize(
    ("service", "method", "request_", "fields"),
    [
        ("Agent", "Explain", agent.ExplainRequest(), ["name"]),
        ("Agent", "Explain", agent.ExplainRequest(name="x" * 513), ["name"]),
        (
            "Agent",
            "ListDeadLetters",
            agent.ListDeadLettersRequest(page_size=-1, page_token="%"),  # noqa: S106 - a page's
            ["page_size", "page_token"],
        ),
        ("Agent", "ListDeadLetters", agent.ListDeadLettersRequest(page_token="WzFd"), ["page_token"]),  # noqa: S106 - a page's
        ("Agent", "Redrive", agent.RedriveRequest(), ["event_ids"]),
        ("Agent", "Redrive", agent.RedriveRequest(all=True, event_ids=[environment_id(1)]), ["event_ids"]),
        (
            "Agent",
            "Redrive",
            agent.RedriveRequest(event_ids=[environment_id(1), "A"], limit=1001),
            ["event_ids[1]", "limit"],
        ),
        ("Agent", "Redrive", agent.RedriveRequest(event_ids=[environment_id(1)] * 101), ["event_ids"]),
        ("Environments", "List", environments.EnvironmentsListRequest(page_token="e30="), ["page_token"]),  # noqa: S106 - a page's
        ("Environments", "Get", environments.EnvironmentsGetRequest(environment_id="dev"), ["environment_id"]),
        ("Cluster", "GetNodes", cluster.GetNodesRequest(page_size=-5), ["page_size"]),
    ],
)
async def test_a_request_that_is_wrong_is_told_every_field(
    service: str, method: str, request_: Any, fields: list[str]
) -> None:
    async with serving() as rig:
        found = await _failing(rig, service, method, request_)
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert [one.field for one in found.details[BadRequest].field_violations] == fields
    assert all(one.description for one in found.details[BadRequest].field_violations)
    assert found.message.startswith(f"{fields[0]}: ")
    assert rig.agent.asked == []


async def test_a_call_that_does_not_exist() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        found = await failure(
            unary(channel, "/made.up.Service/Name", agent.GetVersionResponse)(agent.GetVersionRequest())
        )
        other = await failure(
            unary(channel, f"{PACKAGE}Agent/Nothing", agent.GetVersionResponse)(agent.GetVersionRequest())
        )
    assert (found.code, other.code) == (grpc.StatusCode.UNIMPLEMENTED,) * 2
    assert found.reason == "UNKNOWN_METHOD"
    assert rig.calls("unknown", "unknown", "UNIMPLEMENTED") == 2


async def test_the_agents_own_errors_keep_reason_message_and_delay() -> None:
    async with serving() as rig:
        rig.agent.error = TransientError(Reason.THROTTLED, "sqs:ReceiveMessage commands: throttled", retry_after=2.5)
        passing = await _failing(rig, "Agent", "GetStatus", agent.GetStatusRequest())
        rig.agent.error = PermanentError(Reason.ACCESS_DENIED, "token=abcdef0123456789 is refused")
        lasting = await _failing(rig, "Agent", "GetStatus", agent.GetStatusRequest())
    assert (passing.code, passing.reason) == (grpc.StatusCode.UNAVAILABLE, "THROTTLED")
    assert passing.message == "sqs:ReceiveMessage commands: throttled"
    assert passing.details[RetryInfo].retry_delay.ToTimedelta().total_seconds() == 2.5
    assert (lasting.code, lasting.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ACCESS_DENIED")
    assert RetryInfo not in lasting.details
    assert lasting.message == "token=[redacted] is refused"


async def test_a_defect_tells_nothing_of_the_inside() -> None:
    async with serving() as rig:
        rig.agent.error = KeyError("/home/agent/secret")
        found = await _failing(rig, "Agent", "GetStatus", agent.GetStatusRequest())
        await _call(rig, "Agent", "GetVersion", agent.GetVersionRequest())
    assert (found.code, found.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")
    assert "secret" not in found.message
    assert found.details[RequestInfo].request_id == found.request_id


async def test_a_request_id_is_honoured_or_made() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        call = _begin(channel, "Agent", "GetVersion", agent.GetVersionRequest(), metadata=(("x-request-id", "abc-1"),))
        await call
        given = dict(await call.trailing_metadata())["x-request-id"]
        odd = _begin(channel, "Agent", "GetVersion", agent.GetVersionRequest(), metadata=(("x-request-id", "a b"),))
        await odd
        made = dict(await odd.trailing_metadata())["x-request-id"]
    assert given == "abc-1"
    assert len(made) == 36
