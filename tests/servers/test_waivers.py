"""The table of waivers itself."""

from tests.conformance.queue import test_fifo_behaviour, test_queue_behaviour
from tests.conformance.queue.waivers import WAIVERS


def test_every_waiver_names_a_behaviour_and_a_reason() -> None:
    known = vars(test_queue_behaviour) | vars(test_fifo_behaviour)
    for (server, kind, behaviour), reason in WAIVERS.items():
        assert server in ("ministack", "moto", "fauxqs")
        assert kind in ("standard", "fifo", "any")
        assert callable(known[behaviour])
        assert reason
