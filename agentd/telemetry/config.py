"""Settings of logs, metrics, health and traces."""

from typing import Literal

from pydantic import Field

from agentd.core import Config


class TelemetryConfig(Config):
    """What the daemon tells of itself, and where."""

    http_host: str = Field(default="127.0.0.1", min_length=1)
    """Address of /metrics, /livez, /readyz and /status. Loopback, since /status names what runs; a container needs 0.0.0.0."""
    http_port: int = Field(default=9464, ge=0, le=65535)
    """Port of the same; 0 takes a free one. That of OpenTelemetry's Prometheus exporter, as 9090 is Prometheus's own."""
    status_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds that /status and /readyz may take; below the ten seconds after which Prometheus and most probes give up."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level of the agent's own lines."""
    library_log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """Lowest level of lines that libraries write. Theirs are many, and at debug they carry whole requests."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """json: one object a line; console: for people; auto: console when the stream is a terminal."""
    lag_interval_s: float = Field(default=1.0, ge=0.01, le=60)
    """Seconds between two looks at how late the event loop is."""
    lag_warn_s: float = Field(default=0.5, gt=0, le=60)
    """Seconds of lateness that are logged: something has held the loop up for as long."""
    lag_late_after_s: float = Field(default=10.0, gt=0, le=3600)
    """Seconds without an answer of the event loop after which liveness fails, and names what blocks it."""
    otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s/]+(/\S*)?$")
    """OTLP/HTTP collector for traces, for example http://collector:4318; none, no traces. Needs the otel extra."""
    otlp_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds that one export may take, its retries included."""
    otlp_interval_s: float = Field(default=5.0, gt=0, le=300)
    """Longest time that a finished span waits for its batch to fill."""
    otlp_queue_spans: int = Field(default=2048, ge=512, le=65536)
    """Spans held for export; more are dropped, so that a lost collector costs no memory."""
