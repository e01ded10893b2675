"""Messages as texts: what any sender writes is read, and what we write is what was meant."""

import base64
import json
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.bus import Outgoing, QueueLimits
from agentd.bus.azure_wire import MAX_BYTES, content_of, receipt_of, receipt_parts, size_of, text_of
from agentd.bus.letters import EPOCH, KEY, dead_letter, epoch_of
from agentd.core import DeadLetter, Delivery, OutcomeKind, Reason

EVENT = '{"specversion":"1.0","id":"1","data":{"text":"\u00fc <&>"}}'
# What a queue takes as text: XML's characters.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"))
LIMITS = QueueLimits(
    max_message_bytes=MAX_BYTES,
    max_batch=32,
    max_wait_s=20,
    max_visibility_s=604_800,
    max_delay_s=604_800,
    fifo=False,
    retention_s=604_800,
    visibility_s=30,
    max_receive_count=None,
    tells_hidden=False,
    size_of=size_of,
)


def test_event_travels_as_it_is() -> None:
    assert text_of(Outgoing(EVENT)) == EVENT
    assert content_of(EVENT) == (EVENT, {})


def test_attributes_travel_in_a_line_before_the_body() -> None:
    text = text_of(Outgoing(EVENT, {"colour": "gr\u00fcn", "quoted": 'a "b"'}))
    head, _, body = text.partition("\n")
    assert body == EVENT
    assert head == 'agentd-attributes: {"colour":"gr\u00fcn","quoted":"a \\"b\\""}'
    assert content_of(text) == (EVENT, {"colour": "gr\u00fcn", "quoted": 'a "b"'})


@given(body=TEXT, attributes=st.dictionaries(TEXT, TEXT, max_size=3), carriage_return=st.booleans())
def test_every_message_comes_back_as_it_was(body: str, attributes: dict[str, str], carriage_return: bool) -> None:
    body = f"{body}\r\n" if carriage_return else body
    text = text_of(Outgoing(body, attributes))
    assert content_of(text) == (body, attributes)
    assert "\r" not in text


@pytest.mark.parametrize(
    "text",
    [
        "agentd-attributes: ",
        "agentd-attributes: {}",
        "agentd-attributes: [1]\nbody",
        'agentd-attributes: {"a": 1}\nbody',
        "agentd-attributes: {\nbody",
        "agentd-attributes: " + "[" * 100_000 + "\nbody",
        "agentd-packed: ",
        "agentd-packed: !!!",
        "agentd-packed: eJw=",
        "agentd-packed: " + base64.b64encode(zlib.compress(b"no envelope")).decode(),
        "agentd-packed: " + base64.b64encode(zlib.compress(b"agentd-attributes: {}\n\xff")).decode(),
        "agentd-packed: " + base64.b64encode(zlib.compress(b"agentd-attributes: {}\n" + b"x" * 2_000_000)).decode(),
        "eyJhIjogMX0",
        base64.b64encode(b"no object").decode(),
        base64.b64encode(b"{\xff").decode(),
        "",
        "plain",
    ],
)
def test_what_is_no_message_of_ours_is_a_body(text: str) -> None:
    assert content_of(text) == (text, {})
    assert content_of(text_of(Outgoing(text))) == (text, {})


def test_event_that_a_sender_put_into_base64_is_read() -> None:
    assert content_of(base64.b64encode(EVENT.encode()).decode()) == (EVENT, {})


def test_markup_counts_as_it_travels() -> None:
    assert size_of(Outgoing("<&>")) == len("&lt;&amp;&gt;")
    assert size_of(Outgoing("\u00fc")) == 2


def test_dead_letter_of_an_event_at_the_limit_fits() -> None:
    event = json.dumps({"data": [{"name": f"project-{n}", "build": n * 7919} for n in range(1300)]})
    event += " " * (MAX_BYTES - size_of(Outgoing(event)))
    assert text_of(Outgoing(event)) == event
    delivery = Delivery(message_id="m-1", body=event, received_at=0.0, queue="commands")
    end = DeadLetter(key="event/1", epoch=1, outcome=OutcomeKind.FAILED, reason=Reason.IN_USE, message="why")
    letter = dead_letter(delivery, end, now=0.0, limits=LIMITS)
    assert LIMITS.fits(letter)
    body, attributes = content_of(text_of(letter))
    assert (body, attributes[KEY], epoch_of(attributes)) == (event, "event/1", 1)
    assert EPOCH in attributes


def test_larger_one_is_packed_as_long_as_that_helps() -> None:
    report = json.dumps({"data": [{"name": f"object-{n}", "uid": n * 7919} for n in range(5000)]})
    assert len(report) > 3 * MAX_BYTES
    assert LIMITS.fits(Outgoing(report))
    assert text_of(Outgoing(report)).startswith("agentd-packed: ")
    assert content_of(text_of(Outgoing(report))) == (report, {})
    noise = base64.b64encode(random.Random(1).randbytes(MAX_BYTES)).decode()
    assert not LIMITS.fits(Outgoing(f'{{"data": "{noise}"}}'))


def test_receipt_names_message_and_holder() -> None:
    assert receipt_parts(receipt_of("id", "a/b=")) == ("id", "a/b=")
    assert [receipt_parts(text) for text in ("", "id", "id/", "/pop")] == [None] * 4
