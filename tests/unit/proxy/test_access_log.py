"""One line a call."""

import grpc
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from proxy.generated.v1 import agent_pb2 as agent
from tests.unit.proxy.conftest import Lines
from tests.unit.proxy.raw import HEADERS, raw_client
from tests.unit.proxy.rig import channel_to, failure, serving, unary

VERSION = "/conveyor.proxy.v1.Agent/GetVersion"
STATUS = "/conveyor.proxy.v1.Agent/GetStatus"
TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_a_call_is_one_line_with_its_callers_ids(lines: Lines) -> None:
    metadata = (("x-request-id", "abc-1"), ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"))
    async with serving() as rig, channel_to(rig) as channel:
        await unary(channel, VERSION, agent.GetVersionResponse)(agent.GetVersionRequest(), metadata=metadata)
    (line,) = lines("call.done")
    assert (line["level"], line["room"]) == ("info", "proxy")
    assert (line["service"], line["method"], line["code"]) == ("conveyor.proxy.v1.Agent", "GetVersion", "OK")
    assert (line["request_id"], line["trace_id"], line["reason"]) == ("abc-1", TRACE, None)
    assert line["caller"].startswith("127.0.0.1:")
    assert line["user_agent"].startswith("grpc-python-asyncio/")
    assert line["duration_s"] > 0


async def test_probes_are_logged_for_debugging_alone(lines: Lines) -> None:
    async with serving() as rig, channel_to(rig) as channel:
        await unary(channel, "/grpc.health.v1.Health/Check", HealthCheckResponse)(HealthCheckRequest())
    assert [line["level"] for line in lines("call.done")] == ["debug"]


async def test_a_defect_is_in_the_log_under_the_requests_id(lines: Lines) -> None:
    async with serving() as rig, channel_to(rig) as channel:
        rig.agent.error = KeyError("row")
        found = await failure(unary(channel, STATUS, agent.GetStatusResponse)(agent.GetStatusRequest()))
    (defect,), (done,) = lines("call.failed"), lines("call.done")
    assert found.code is grpc.StatusCode.INTERNAL
    assert (defect["level"], defect["exception_type"]) == ("error", "KeyError")
    assert defect["request_id"] == done["request_id"] == found.request_id
    assert done["reason"] == "INTERNAL_ERROR"


async def test_what_is_no_call_is_logged_too(lines: Lines) -> None:
    headers = [(":method", "GET"), *HEADERS[1:]]
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        await client.ended(client.begin(VERSION, headers=headers, end=True))
    assert [line["error"] for line in lines("call.malformed")] == ["gRPC calls are POST requests"]
