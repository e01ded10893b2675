"""Dead letters as messages. Pure."""

from hypothesis import given
from hypothesis import strategies as st

from agentd.bus.letters import dead_letter, epoch_of
from agentd.bus.protocol import QueueLimits
from agentd.bus.rules import fault
from agentd.core import DeadLetter, Delivery, OutcomeKind, Reason

LIMITS = QueueLimits(
    max_message_bytes=2048,
    max_batch=10,
    max_wait_s=20,
    max_visibility_s=43_200,
    max_delay_s=0,
    fifo=True,
    retention_s=60,
    visibility_s=30,
    max_receive_count=None,
)
any_text = st.text(st.characters(codec=None), max_size=300)


@given(message=any_text, key=any_text.filter(bool), body=st.text("ab\u4e16", min_size=1, max_size=400))
def test_letter_is_always_one_that_the_queue_takes(message: str, key: str, body: str) -> None:
    delivery = Delivery("id", body, 0.0, "commands", attributes={f"own-{n}": "x" * n for n in range(1, 12)})
    end = DeadLetter(key, 1, OutcomeKind.FAILED, Reason.CONFLICT, message)
    letter = dead_letter(delivery, end, now=0.0, limits=LIMITS)
    assert fault(letter, LIMITS) is None
    assert letter.body == body
    assert letter.attributes["agentd-dead-lettered-at"] == "1970-01-01T00:00:00.000+00:00"


def test_tags_of_an_earlier_end_are_replaced() -> None:
    delivery = Delivery(
        "id", "body", 0.0, "commands", attributes={"agentd-epoch": "1", "agentd-other": "x", "own": "y"}
    )
    letter = dead_letter(delivery, DeadLetter("k", 2, OutcomeKind.FAILED, Reason.CONFLICT, ""), now=0.0, limits=LIMITS)
    assert letter.attributes["agentd-epoch"] == "2"
    assert letter.attributes["own"] == "y"
    assert "agentd-other" not in letter.attributes
    assert "agentd-message" not in letter.attributes


def test_epoch_is_read_only_where_it_is_one() -> None:
    assert epoch_of({"agentd-epoch": "12"}) == 12
    for text in ("", "0", "-1", "x", "1.5", "²"):
        assert epoch_of({"agentd-epoch": text}) is None
    assert epoch_of({}) is None
