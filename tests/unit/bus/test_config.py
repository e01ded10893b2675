"""Settings that promise something."""

import pytest
from pydantic import ValidationError

from agentd.bus import BusConfig


def test_idle_queue_costs_at_most_a_fifth_of_a_call_a_second() -> None:
    config = BusConfig()
    commands = config.receivers_min / config.wait_s + 1 / config.depth_interval_s
    dead_letters = 1 / config.sweep_interval_s + 1 / config.depth_interval_s
    assert commands <= 0.2
    assert dead_letters <= 0.2


@pytest.mark.parametrize(
    ("setting", "value"),
    [("receivers_min", 5), ("lease_tick_s", 10.0), ("wait_s", 21.0), ("visibility_s", 43_201.0), ("slots", 0)],
)
def test_settings_that_cannot_work_are_refused(setting: str, value: float) -> None:
    with pytest.raises(ValidationError, match=setting):
        BusConfig.model_validate({setting: value, "visibility_s": 59.0} | {setting: value})
