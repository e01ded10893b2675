"""How a dead letter says why it is one: attributes, so that the body stays what the sender wrote."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from agentd.bus.protocol import Outgoing, QueueLimits, Received
from agentd.bus.text import MAX_ATTRIBUTES, safe
from agentd.core import DeadLetter, Delivery

PREFIX = "agentd-"
KEY = "agentd-key"
EPOCH = "agentd-epoch"
OUTCOME = "agentd-outcome"
REASON = "agentd-reason"
MESSAGE = "agentd-message"
AT = "agentd-dead-lettered-at"
MESSAGE_ID = "agentd-message-id"
GROUP = "agentd-group"  # that it had on the commands queue
REDRIVE = "agentd-redrive"  # the run of a redrive that sent the message back: the same run does not do so again

_MOST_TEXT = 256
# Bounded, because anybody who may send can set the attribute: Python refuses to read numbers of thousands of digits.
_EPOCH = re.compile(r"[1-9][0-9]{0,8}")


def dead_letter(delivery: Delivery, end: DeadLetter, *, now: float, limits: QueueLimits) -> Outgoing:
    """The message as it goes to the dead-letter queue; of its own attributes it keeps what fits, in their order."""
    tags = {
        KEY: end.key,
        EPOCH: str(end.epoch),
        OUTCOME: end.outcome.value,
        REASON: end.reason.value,
        AT: datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
        MESSAGE_ID: delivery.message_id,
        **({} if delivery.group is None else {GROUP: delivery.group}),
    }
    letter = Outgoing(
        body=delivery.body,
        attributes={name: safe(value, most=_MOST_TEXT) for name, value in tags.items()},
        # One of its own: a FIFO queue shows of each group the first few alone, and nobody takes letters away for weeks.
        group=delivery.message_id,
        # The same end of the same message again is dropped by a FIFO queue.
        dedupe_id=f"{delivery.message_id}-{end.epoch}",
    )
    run = safe(delivery.attributes.get(REDRIVE, ""), most=_MOST_TEXT)
    extra = {REDRIVE: run, MESSAGE: safe(end.message, most=_MOST_TEXT)} | own_attributes(delivery.attributes)
    for name, value in extra.items():
        letter = _with_attribute(letter, name, value, limits)
    return letter


def group_of(message: Received) -> str | None:
    """The group that a letter had on the commands queue; None of one that came from a queue without groups."""
    return message.attributes.get(GROUP, None if KEY in message.attributes else message.group)


def own_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """The attributes that the sender gave it."""
    return {name: value for name, value in attributes.items() if not name.startswith(PREFIX)}


def epoch_of(attributes: Mapping[str, str]) -> int | None:
    """The epoch that ended in the dead-letter queue; None for a message that was not put there by an agent."""
    text = attributes.get(EPOCH, "")
    return int(text) if _EPOCH.fullmatch(text) else None


def _with_attribute(letter: Outgoing, name: str, value: str, limits: QueueLimits) -> Outgoing:
    longer = replace(letter, attributes={**letter.attributes, name: value})
    fits = limits.fits(longer) and len(longer.attributes) <= MAX_ATTRIBUTES
    return longer if fits and value else letter
