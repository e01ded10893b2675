"""Traces to an OTLP/HTTP collector, by the OpenTelemetry SDK. The only module that imports it; needs the otel extra.

The exporter runs in its own thread with a bounded queue: a slow or lost collector costs spans, never the event loop.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agentd.telemetry.config import TelemetryConfig

_TRACES_PATH = "/v1/traces"
_BATCH_SPANS = 512


class Recorder:
    """One process's spans, on their way to one collector. `OTEL_*` variables add headers, certificates and a sampler."""

    def __init__(self, config: TelemetryConfig, *, version: str, replica: str) -> None:
        resource = Resource.create(
            {"service.name": "agentd", "service.version": version, "service.instance.id": replica}
        )
        exporter = OTLPSpanExporter(endpoint=_traces_url(config.otlp_endpoint or ""), timeout=config.otlp_timeout_s)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=config.otlp_queue_spans,
                schedule_delay_millis=config.otlp_interval_s * 1000,
                max_export_batch_size=_BATCH_SPANS,
            )
        )
        self._tracer = self._provider.get_tracer("agentd", version)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, parent: str | None, attributes: Mapping[str, str | int]) -> Iterator[str]:
        """Record a span; gives its traceparent."""
        context = self._propagator.extract({"traceparent": parent} if parent else {})
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=SpanKind.CONSUMER if name == "event" else SpanKind.INTERNAL,
            attributes={f"conveyor.{key}": value for key, value in attributes.items()},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield _traceparent(span.get_span_context())
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def shutdown(self, timeout_s: float) -> None:
        """Export what is left. The SDK itself would wait for half a minute for a collector that does not answer."""
        ending = threading.Thread(target=self._provider.shutdown, name="otlp-shutdown", daemon=True)
        ending.start()
        ending.join(timeout_s)


def _traces_url(endpoint: str) -> str:
    """A collector's base URL gets the path that OTLP/HTTP gives traces; a full one stays as it is."""
    parts = urlsplit(endpoint)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(_TRACES_PATH) else path + _TRACES_PATH))


def _traceparent(context: trace.SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
