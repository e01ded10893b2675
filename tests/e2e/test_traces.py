"""Spans reach a collector, and one trace goes through event, spans and report."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agentd.cli.control_plane import control_plane, event
from agentd.cli.stack import start_stack
from agentd.core import system_runtime
from agentd.events import ProjectCreate
from tests.e2e.harness import eventually, running, uuid_of

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"


@dataclass(frozen=True, slots=True)
class Span:
    """What the test looks at."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]


@dataclass(slots=True)
class Collector:
    """An OTLP/HTTP collector that keeps spans."""

    url: str = ""
    services: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """One export."""
        export = ExportTraceServiceRequest.FromString(await request.read())
        for resource in export.resource_spans:
            known = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
            self.services.add(known["service.name"])
            for scope in resource.scope_spans:
                self.spans += [
                    Span(
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        {attribute.key: attribute.value.string_value for attribute in span.attributes},
                    )
                    for span in scope.spans
                ]
        return web.Response(content_type="application/x-protobuf")


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """A collector, until the block ends."""
    found = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", found.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield found
    finally:
        await runner.cleanup()


async def test_one_trace_goes_from_the_event_through_spans_to_the_report(tmp_path: Path) -> None:
    data = ProjectCreate(project_id=uuid_of("traced"), project_name="traced")
    traceparent = f"00-{TRACE_ID}-{PARENT_ID}-01"
    body = event(data, 1, event_id=uuid_of("create traced"), traceparent=traceparent)
    async with (
        collector() as traces,
        start_stack(tmp_path) as stack,
        control_plane(stack, system_runtime()) as plane,
    ):
        settings = {"AGENTD_TELEMETRY__OTLP_ENDPOINT": traces.url, "AGENTD_TELEMETRY__OTLP_INTERVAL_S": "0.2"}
        async with running(stack, **settings):
            await plane.send(body)
            report = await plane.report(uuid_of("create traced"))

            async def event_span_is_there() -> bool:
                return any(span.name == "event" for span in traces.spans)

            await eventually(event_span_is_there)
    (root,) = [span for span in traces.spans if span.name == "event"]
    assert (root.trace_id, root.parent_id) == (TRACE_ID, PARENT_ID)
    assert root.attributes["conveyor.type"] == "conveyor.project.create.v1"
    mine = [span for span in traces.spans if span.trace_id == TRACE_ID]
    assert {span.attributes.get("conveyor.step") for span in mine} >= {"create repository", "set lifecycle policy"}
    known = {span.span_id for span in mine} | {PARENT_ID}
    assert [span for span in mine if span.parent_id not in known] == []
    assert traces.services == {"agentd"}
    version, trace_id, parent_id, flags = report["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE_ID, "01")
    assert parent_id in known
    log = [json.loads(line) for line in (tmp_path / "agentd.log").read_text().splitlines()]
    (finished,) = [entry for entry in log if entry["event"] == "event.finished"]
    assert finished["trace_id"] == TRACE_ID
