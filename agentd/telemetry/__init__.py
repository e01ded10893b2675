"""Structured logs, metrics, traces, health and the HTTP endpoint."""

from agentd.telemetry.config import TelemetryConfig
from agentd.telemetry.health import Checkup, Health, Pulse
from agentd.telemetry.logs import bind_call, bind_event, configure_logs, get_logger
from agentd.telemetry.metrics import Metrics
from agentd.telemetry.redact import harmless, names_secret, redact_text, redact_value
from agentd.telemetry.reference import metrics_reference
from agentd.telemetry.tracing import Tracing, TracingUnavailable, current_traceparent

__all__ = [
    "Checkup",
    "Health",
    "Metrics",
    "Pulse",
    "TelemetryConfig",
    "Tracing",
    "TracingUnavailable",
    "bind_call",
    "bind_event",
    "configure_logs",
    "current_traceparent",
    "get_logger",
    "harmless",
    "metrics_reference",
    "names_secret",
    "redact_text",
    "redact_value",
]
