"""Messages and answers as SQS spells them. Pure functions; facts are those of the service's API model (2012-11-05)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentd.bus.protocol import Done, EntryFailed, EntryResult, Outgoing, QueueLimits, Received
from agentd.bus.sqs_errors import entry_error

Json = dict[str, Any]  # a request, an answer or a part of them, as the service's API model has it

MAX_BATCH = 10
_DONE = Done()


def send_entry(entry_id: str, message: Outgoing, limits: QueueLimits) -> Json:
    """A message of a send batch."""
    entry: Json = {"Id": entry_id, "MessageBody": message.body}
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


def received(message: Json) -> Received:
    """A message as the queue hands it out; binary attributes are left out."""
    system = message.get("Attributes") or {}
    attributes = message.get("MessageAttributes") or {}
    sent = system.get("SentTimestamp")
    return Received(
        message_id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message.get("Body") or "",
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        sent_at=int(sent) / 1000 if sent else None,
        group=system.get("MessageGroupId"),
        attributes={name: value["StringValue"] for name, value in attributes.items() if value.get("StringValue")},
    )


def outcomes(count: int, answer: Json) -> Sequence[EntryResult]:
    """One result for each entry of a batch, in the order given. An entry that the answer does not mention has failed."""
    results: list[EntryResult] = [EntryFailed("the answer does not mention this entry")] * count
    for entry in answer.get("Successful") or ():
        results[int(entry["Id"])] = _DONE
    for entry in answer.get("Failed") or ():
        results[int(entry["Id"])] = entry_error(
            entry.get("Code") or "Unknown", entry.get("Message") or "", sender_fault=entry.get("SenderFault", True)
        )
    return results
