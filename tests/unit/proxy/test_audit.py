"""Every call is in the audit log, and one that changes something before it does."""

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from agentd.core import AuditKind, Reason, TransientError
from proxy.generated.v1 import agent_pb2 as agent
from proxy.generated.v1 import environments_pb2 as environments
from tests.unit.audit.rig import opened
from tests.unit.proxy.conftest import Lines
from tests.unit.proxy.fakes import Gate
from tests.unit.proxy.raw import HEADERS, raw_client
from tests.unit.proxy.rig import channel_to, failure, serving, stream, unary

AGENT = "conveyor.proxy.v1.Agent"
REDRIVE = f"/{AGENT}/Redrive"
EVENTS = ("6f0c1a2b-0000-4000-8000-000000000001", "6f0c1a2b-0000-4000-8000-000000000002")
DEADLINE_S = 10.0


class Told:
    """An audit log that remembers what it was told, and how much of it was durable at a time."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.flushed = 0
        self.refuses: set[str] = set()
        self._news = asyncio.Event()

    async def until(self, number: int) -> None:
        """Wait for so many entries."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.entries) < number:
                self._news.clear()
                await self._news.wait()

    def append(self, kind: AuditKind, **facts: Any) -> None:
        assert kind is AuditKind.PROXY_CALL
        if facts.get("phase") in self.refuses:
            raise TransientError(Reason.UNAVAILABLE, "audit log: the disk is full")
        self.entries.append(facts)
        self._news.set()

    async def flush(self) -> None:
        await asyncio.sleep(0)
        if "flush" in self.refuses:
            raise TransientError(Reason.UNAVAILABLE, "audit log: the disk is full")
        self.flushed = len(self.entries)


async def test_a_call_that_reads_is_told_once_with_who_and_how_it_ended() -> None:
    told = Told()
    async with serving(audit=told) as rig, channel_to(rig) as channel:
        call = unary(channel, f"/{AGENT}/Explain", agent.ExplainResponse)
        await call(agent.ExplainRequest(name="project/1"), metadata=(("x-request-id", "abc-1"),))
    (entry,) = told.entries
    assert entry.pop("duration_s") > 0
    assert entry.pop("caller").startswith("127.0.0.1:")
    assert entry == {
        "service": AGENT,
        "method": "Explain",
        "phase": "ended",
        "request_id": "abc-1",
        "name": "project/1",
        "status": "OK",
        "reason": None,
    }
    assert told.flushed == 0, "nothing waits for the disk"


async def test_a_call_that_changes_something_is_durable_before_it_does() -> None:
    told = Told()
    async with serving(audit=told) as rig, channel_to(rig) as channel:
        rig.agent.gate = Gate()
        call = unary(channel, REDRIVE, agent.RedriveResponse)(agent.RedriveRequest(event_ids=EVENTS))
        answering = asyncio.ensure_future(call)
        await rig.agent.gate.until(lambda: rig.agent.gate is not None and rig.agent.gate.came == 1)
        (begun,) = told.entries
        assert told.flushed == 1
        assert (begun["method"], begun["phase"], begun["event_ids"]) == ("Redrive", "begun", list(EVENTS))
        rig.agent.gate.open()
        await answering
    assert [(entry["phase"], entry.get("status")) for entry in told.entries] == [("begun", None), ("ended", "OK")]


@pytest.mark.parametrize("what", ["begun", "flush"])
async def test_what_cannot_be_told_is_not_done(what: str) -> None:
    told = Told()
    told.refuses = {what}
    async with serving(audit=told) as rig, channel_to(rig) as channel:
        call = unary(channel, REDRIVE, agent.RedriveResponse)(agent.RedriveRequest(event_ids=EVENTS))
        found = await failure(call)
        assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
        assert "the disk is full" in found.message
        assert rig.agent.asked == []
        await unary(channel, f"/{AGENT}/GetVersion", agent.GetVersionResponse)(agent.GetVersionRequest())


async def test_a_refused_call_is_told_too() -> None:
    told = Told()
    async with serving(audit=told) as rig, channel_to(rig) as channel:
        await failure(unary(channel, f"/{AGENT}/Nonsense", agent.RedriveResponse)(agent.RedriveRequest()))
        await failure(unary(channel, REDRIVE, agent.RedriveResponse)(agent.RedriveRequest()))
    ended = [entry for entry in told.entries if entry["phase"] == "ended"]
    assert [(entry["method"], entry["status"], entry["reason"]) for entry in ended] == [
        ("unknown", "UNIMPLEMENTED", "UNKNOWN_METHOD"),
        ("Redrive", "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ]


async def test_probes_and_what_is_no_call_are_told() -> None:
    told = Told()
    async with serving(audit=told) as rig:
        async with channel_to(rig) as channel:
            await unary(channel, "/grpc.health.v1.Health/Check", HealthCheckResponse)(HealthCheckRequest())
        async with raw_client(rig.proxy.port) as client:
            await client.ended(client.begin(REDRIVE, headers=[(":method", "GET"), *HEADERS[1:]], end=True))
    check, malformed = told.entries
    assert (check["service"], check["method"], check["status"]) == ("grpc.health.v1.Health", "Check", "OK")
    assert (malformed["service"], malformed["reason"]) == ("unknown", "gRPC calls are POST requests")
    assert malformed["caller"].startswith("127.0.0.1:")


async def test_a_stream_is_told_when_it_begins_and_when_its_caller_has_gone() -> None:
    told = Told()
    async with serving(audit=told) as rig:
        async with channel_to(rig) as channel:
            watch = stream(channel, "/conveyor.proxy.v1.Environments/Watch", environments.EnvironmentsWatchResponse)
            call = watch(environments.EnvironmentsWatchRequest())
            await call.read()
            assert [entry["phase"] for entry in told.entries] == ["begun"]
            call.cancel()
            await told.until(2)
        await rig.proxy.drain(grace_s=5)
    assert [entry["phase"] for entry in told.entries] == ["begun", "ended"]
    assert told.entries[1]["status"] == "CANCELLED"


async def test_an_end_that_a_full_log_does_not_take_is_in_the_ordinary_one(lines: Lines) -> None:
    told = Told()
    told.refuses = {"ended"}
    async with serving(audit=told) as rig, channel_to(rig) as channel:
        await unary(channel, f"/{AGENT}/GetVersion", agent.GetVersionResponse)(agent.GetVersionRequest())
    (line,) = lines("call.not_audited")
    assert (line["level"], line["method"], line["status"]) == ("error", "GetVersion", "OK")


async def test_messages_do_not_get_in(tmp_path: Path) -> None:
    async with opened(tmp_path) as audit:
        async with serving(audit=audit.log) as rig, channel_to(rig) as channel:
            request = agent.RedriveRequest(event_ids=["x" * 5000, *EVENTS * 50], limit=12345)
            await failure(unary(channel, REDRIVE, agent.RedriveResponse)(request))
        await audit.log.flush()
        text = (tmp_path / "replica-1" / "000001.jsonl").read_text()
    begun = json.loads(text.splitlines()[1])["facts"]
    assert begun["event_ids"][1:3] == list(EVENTS)
    assert len(begun["event_ids"]) == 20
    assert len(text) < 10_000
    assert "12345" not in text
