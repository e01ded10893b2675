"""The table of waivers itself."""

from tests.conformance.queue import (
    test_fifo_behaviour,
    test_queue_holding,
    test_queue_messages,
    test_queue_setup,
    test_queue_sizes,
    test_queue_waiting,
)
from tests.conformance.queue.waivers import WAIVERS

_SUITES = (
    test_fifo_behaviour,
    test_queue_holding,
    test_queue_messages,
    test_queue_setup,
    test_queue_sizes,
    test_queue_waiting,
)


def test_every_waiver_names_a_behaviour_and_a_reason() -> None:
    known = {name: value for suite in _SUITES for name, value in vars(suite).items()}
    for (server, kind, behaviour), reason in WAIVERS.items():
        assert server in ("ministack", "moto", "fauxqs", "azurite")
        assert kind in ("standard", "fifo", "any")
        assert callable(known[behaviour])
        assert reason
