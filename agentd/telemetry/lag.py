"""How late the event loop is: what blocks it blocks every lease, poll and probe."""

from agentd.core import Runtime
from agentd.telemetry.config import TelemetryConfig
from agentd.telemetry.health import Health
from agentd.telemetry.logs import get_logger
from agentd.telemetry.metrics import Metrics

log = get_logger("telemetry")


async def watch_lag(runtime: Runtime, metrics: Metrics, health: Health, config: TelemetryConfig) -> None:
    """Measure until cancelled: a sleep that ends late was held up by as much."""
    pulse = health.pulse("loop-lag", late_after_s=config.lag_interval_s + config.lag_late_after_s)
    try:
        while True:
            began = runtime.monotonic()
            await runtime.sleep(config.lag_interval_s)
            lag_s = max(0.0, runtime.monotonic() - began - config.lag_interval_s)
            metrics.loop_lag.set(lag_s)
            pulse.succeeded()
            if lag_s > config.lag_warn_s:
                log.warning("loop.late", lag_s=round(lag_s, 3), allowed_s=config.lag_warn_s)
    finally:
        health.stopped(pulse)
