"""Structured logs, metrics, traces, health and the HTTP endpoint."""

from agentd.telemetry.health import Health, Pulse
from agentd.telemetry.logs import get_logger
from agentd.telemetry.metrics import Metrics

__all__ = ["Health", "Metrics", "Pulse", "get_logger"]
