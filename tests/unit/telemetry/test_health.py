"""Health is progress."""

import pytest

from agentd.core import system_runtime
from agentd.telemetry import Health


async def test_a_loop_has_one_pulse_until_it_stops() -> None:
    health = Health(system_runtime())
    pulse = health.pulse("outbox", late_after_s=1)
    with pytest.raises(ValueError, match="outbox"):
        health.pulse("outbox", late_after_s=1)
    health.stopped(pulse)
    health.stopped(pulse)
    assert health.pulses() == ()
    assert health.pulse("outbox", late_after_s=1) is not pulse


async def test_a_beat_is_progress_and_no_success() -> None:
    health = Health(system_runtime())
    pulse = health.pulse("receivers", late_after_s=0.5)
    pulse.beaten_at -= 1
    pulse.succeeded_at -= 1
    assert len(health.ailments()) == 1
    pulse.beat()
    assert health.ailments() == ()
    assert pulse.progress_age_s < 0.5 < pulse.success_age_s
    pulse.succeeded()
    assert pulse.success_age_s < 0.5


async def test_readiness_is_told_per_component() -> None:
    health = Health(system_runtime())
    health.readiness("ledger", lambda: None)
    health.readiness("queue", lambda: "access denied")
    assert health.unready() == {"ledger": None, "queue": "access denied"}
