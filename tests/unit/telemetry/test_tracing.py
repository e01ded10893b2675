"""Traces, sent to a real OTLP/HTTP receiver."""

import asyncio
import gzip
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from agentd.telemetry import TelemetryConfig, Tracing, TracingUnavailable, current_traceparent

_TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
_PARENT_ID = "b7ad6b7169203331"
_TRACEPARENT = f"00-{_TRACE_ID}-{_PARENT_ID}-01"


class _Collector:
    """Takes what an OTLP/HTTP collector takes."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> dict[str, Span]:
        return {
            span.name: span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        message = ExportTraceServiceRequest()
        message.ParseFromString(body)
        self.requests.append(message)
        return web.Response(content_type="application/x-protobuf")


@asynccontextmanager
async def _collecting() -> AsyncIterator[_Collector]:
    collector = _Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.port = runner.addresses[0][1]
    try:
        yield collector
    finally:
        await runner.cleanup()


def _tracing(endpoint: str | None, *, timeout_s: float = 2) -> Tracing:
    config = TelemetryConfig(otlp_endpoint=endpoint, otlp_timeout_s=timeout_s)
    return Tracing(config, version="1.2.3", replica="host-1")


def _attributes(span: Span) -> dict[str, object]:
    values = {pair.key: pair.value for pair in span.attributes}
    return {
        key: value.int_value if value.HasField("int_value") else value.string_value for key, value in values.items()
    }


async def test_spans_continue_the_events_trace() -> None:
    async with _collecting() as collector:
        tracing = _tracing(collector.endpoint)
        with tracing.span("event", traceparent=_TRACEPARENT, type="conveyor.project.create.v1", generation=3):
            outer = current_traceparent()
            with tracing.span("step", step="create repository", attempt=None):
                inner = current_traceparent()
        assert current_traceparent() is None
        await asyncio.to_thread(tracing.shutdown)
        event, step = collector.spans["event"], collector.spans["step"]
        resource = {
            pair.key: pair.value.string_value for pair in collector.requests[0].resource_spans[0].resource.attributes
        }
    assert event.trace_id.hex() == step.trace_id.hex() == _TRACE_ID
    assert event.parent_span_id.hex() == _PARENT_ID
    assert step.parent_span_id == event.span_id
    assert outer == f"00-{_TRACE_ID}-{event.span_id.hex()}-01"
    assert inner == f"00-{_TRACE_ID}-{step.span_id.hex()}-01"
    assert _attributes(event) == {"conveyor.type": "conveyor.project.create.v1", "conveyor.generation": 3}
    assert _attributes(step) == {"conveyor.step": "create repository"}
    assert event.kind == Span.SPAN_KIND_CONSUMER
    assert resource["service.name"] == "agentd"
    assert (resource["service.version"], resource["service.instance.id"]) == ("1.2.3", "host-1")


async def test_without_a_parent_a_span_begins_a_trace() -> None:
    async with _collecting() as collector:
        tracing = _tracing(collector.endpoint + "/v1/traces")
        with tracing.span("sweep"), tracing.span("inner", traceparent="no traceparent"):
            pass
        await asyncio.to_thread(tracing.shutdown)
        sweep, inner = collector.spans["sweep"], collector.spans["inner"]
    assert sweep.parent_span_id == b""
    assert inner.parent_span_id == sweep.span_id


async def test_an_exception_marks_the_span_with_its_class_alone() -> None:
    async with _collecting() as collector:
        tracing = _tracing(collector.endpoint)
        with pytest.raises(KeyError), tracing.span("event"):
            raise KeyError("password=hunter2")
        with pytest.raises(asyncio.CancelledError), tracing.span("cut"):
            raise asyncio.CancelledError
        await asyncio.to_thread(tracing.shutdown)
        event, cut = collector.spans["event"], collector.spans["cut"]
    assert event.status.code == Status.STATUS_CODE_ERROR
    assert event.status.message == "KeyError"
    assert _attributes(event) == {"error.type": "KeyError"}
    assert cut.status.message == "CancelledError"
    assert b"hunter2" not in event.SerializeToString()


async def test_events_side_by_side_keep_their_own_spans() -> None:
    async with _collecting() as collector:
        tracing = _tracing(collector.endpoint)
        met = asyncio.Barrier(2)

        async def work(name: str) -> None:
            with tracing.span(name):
                await met.wait()
                with tracing.span(f"{name} step"):
                    await met.wait()

        async with asyncio.TaskGroup() as group:
            group.create_task(work("a"))
            group.create_task(work("b"))
        await asyncio.to_thread(tracing.shutdown)
        spans = collector.spans
    for name in ("a", "b"):
        assert spans[f"{name} step"].trace_id == spans[name].trace_id
    assert spans["a"].trace_id != spans["b"].trace_id


@pytest.mark.parametrize("traceparent", [None, "", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
async def test_nothing_is_carried_on_of_no_trace(traceparent: str | None) -> None:
    with _tracing(None).span("event", traceparent=traceparent):
        assert current_traceparent() is None


async def test_without_an_endpoint_the_events_trace_is_carried_on() -> None:
    tracing = _tracing(None)
    with tracing.span("event", traceparent=_TRACEPARENT), tracing.span("step"):
        assert current_traceparent() == _TRACEPARENT
    assert current_traceparent() is None
    tracing.shutdown()


async def test_an_attribute_outside_the_closed_set_is_a_mistake() -> None:
    tracing = _tracing(None)
    with pytest.raises(TypeError, match="mesage_id"), tracing.span("event", mesage_id="1"):  # type: ignore[call-arg]
        pass


async def test_a_collector_that_does_not_answer_costs_the_deadline_and_no_more() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections wait in its backlog, for ever
        tracing = _tracing(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.5)
        began = loop.time()
        for _ in range(3000):
            with tracing.span("event"):
                pass
        recorded = loop.time() - began
        await asyncio.to_thread(tracing.shutdown, 0.2)
        ended = loop.time() - began - recorded
        with tracing.span("late"):
            pass
        for thread in threading.enumerate():
            if thread.name == "otlp-shutdown":
                await asyncio.to_thread(thread.join, 10)
    assert recorded < 2
    assert ended < 1


async def test_shutdown_twice_is_one_shutdown() -> None:
    async with _collecting() as collector:
        tracing = _tracing(collector.endpoint)
        with tracing.span("event"):
            pass
        await asyncio.to_thread(tracing.shutdown)
        await asyncio.to_thread(tracing.shutdown)
        assert len(collector.requests) == 1


def test_an_endpoint_without_the_libraries_is_told_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "agentd.telemetry.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(TracingUnavailable, match=r"install agentd\[otel\]"):
        _tracing("http://127.0.0.1:4318")
