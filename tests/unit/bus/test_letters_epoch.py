"""The epoch that a message brings back from the dead-letter queue."""

import pytest

from agentd.bus.letters import EPOCH, epoch_of


def test_an_epoch_is_read() -> None:
    assert epoch_of({EPOCH: "1"}) == 1
    assert epoch_of({EPOCH: "12"}) == 12


@pytest.mark.parametrize("text", ["", "0", "-1", "01", "1.5", "one", "1 ", "\u0661", "9" * 5000])
def test_what_is_no_epoch_is_none_and_never_an_error(text: str) -> None:
    assert epoch_of({EPOCH: text}) is None
