"""Messages and answers as SQS spells them. Pure functions; facts are those of the service's API model (2012-11-05)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from agentd.bus.protocol import Done, EntryFailed, EntryResult, Outgoing, QueueLimits, Received
from agentd.bus.sqs_errors import entry_error
from agentd.bus.text import FORBIDDEN, MAX_ATTRIBUTES

if TYPE_CHECKING:
    from types_aiobotocore_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        MessageTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

MAX_BATCH = 10


def check_size(entries: int) -> None:
    """ValueError for a batch that SQS would refuse as a whole."""
    if not 1 <= entries <= MAX_BATCH:
        raise ValueError(f"{entries} entries, a batch takes 1 to {MAX_BATCH}")


def fault(message: Outgoing, limits: QueueLimits) -> str | None:
    """Why the queue would refuse the message."""
    return next(_faults(message, limits), None)


def _faults(message: Outgoing, limits: QueueLimits) -> Iterator[str]:
    if not message.body:
        yield "the body is empty"
    if bad := FORBIDDEN.search("".join((message.body, *message.attributes, *message.attributes.values()))):
        yield f"character U+{ord(bad.group()):04X} is not allowed"
        return  # a lone surrogate has no size in bytes
    if len(message.attributes) > MAX_ATTRIBUTES:
        yield f"{len(message.attributes)} attributes, allowed are {MAX_ATTRIBUTES}"
    if empty := [name for name, value in message.attributes.items() if not value]:
        yield f"attribute {empty[0]} is empty"
    if message.delay_s > limits.max_delay_s:
        yield f"a delay of {message.delay_s:g} s, allowed are {limits.max_delay_s:g} s"
    if limits.fifo and not (message.group and message.dedupe_id):
        yield "a FIFO queue needs a group and a dedupe id"
    if message.size_bytes > limits.max_message_bytes:
        yield f"{message.size_bytes} bytes with attributes, allowed are {limits.max_message_bytes}"


def send_entry(entry_id: str, message: Outgoing, limits: QueueLimits) -> "SendMessageBatchRequestEntryTypeDef":
    """A message of a send batch."""
    entry: SendMessageBatchRequestEntryTypeDef = {"Id": entry_id, "MessageBody": message.body}
    if message.attributes:
        entry["MessageAttributes"] = {
            name: {"DataType": "String", "StringValue": value} for name, value in message.attributes.items()
        }
    if message.delay_s > 0:
        entry["DelaySeconds"] = math.ceil(message.delay_s)
    if limits.fifo and message.group and message.dedupe_id:
        entry["MessageGroupId"] = message.group
        entry["MessageDeduplicationId"] = message.dedupe_id
    return entry


def parts(sizes: Mapping[int, int], limit_bytes: int) -> Iterator[list[int]]:
    """The keys, in order, split so that no part's sum is above the limit."""
    part: list[int] = []
    total = 0
    for n, size in sizes.items():
        if part and total + size > limit_bytes:
            yield part
            part, total = [], 0
        part.append(n)
        total += size
    if part:
        yield part


def received(message: "MessageTypeDef") -> Received:
    """A message as the queue hands it out; binary attributes are left out."""
    system = {str(name): value for name, value in message.get("Attributes", {}).items()}
    sent = system.get("SentTimestamp")
    return Received(
        message_id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message.get("Body", ""),
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        sent_at=int(sent) / 1000 if sent else None,
        group=system.get("MessageGroupId"),
        attributes={
            name: value["StringValue"]
            for name, value in message.get("MessageAttributes", {}).items()
            if "StringValue" in value
        },
    )


def outcomes(
    count: int, done: Sequence[str], failed: "Sequence[BatchResultErrorEntryTypeDef]"
) -> Sequence[EntryResult]:
    """One result for each entry, in the order given. An entry that the answer does not mention has failed."""
    results: list[EntryResult] = [EntryFailed("the answer does not mention this entry")] * count
    for entry_id in done:
        results[int(entry_id)] = Done()
    for entry in failed:
        results[int(entry["Id"])] = entry_error(
            entry.get("Code", "Unknown"), entry.get("Message", ""), sender_fault=entry.get("SenderFault", True)
        )
    return results
