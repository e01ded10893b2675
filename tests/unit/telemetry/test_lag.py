"""The event loop's lag."""

import asyncio
import time

from agentd.core import system_runtime
from agentd.telemetry import Health, Metrics, TelemetryConfig, watch_lag


async def _until(reached: asyncio.Event, metrics: Metrics, above_s: float) -> None:
    while metrics.loop_lag._value.get() <= above_s:
        await asyncio.sleep(0)
    reached.set()


async def test_a_blocked_loop_shows() -> None:
    runtime, metrics = system_runtime(), Metrics()
    health = Health(runtime)
    config = TelemetryConfig(lag_interval_s=0.01, lag_warn_s=0.05)
    task = asyncio.create_task(watch_lag(runtime, metrics, health, config))
    reached = asyncio.Event()
    async with asyncio.timeout(5):
        await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251 - what is measured
        await _until(reached, metrics, 0.1)
    assert [pulse.loop for pulse in health.pulses()] == ["loop-lag"]
    assert not health.ailments()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert health.pulses() == ()
