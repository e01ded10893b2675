"""What a queue says of itself, for people who look after it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_RETENTION_S = 345_600.0
_VISIBILITY_S = 30.0


class QueueKind(StrEnum):
    """What keeps the messages."""

    SQS = "SQS"
    AZURE = "Azure Storage Queue"
    EMBEDDED = "embedded queue"


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """How a queue is set up. `dead_letters` and `max_receive_count` are those of its own redrive, if it has one."""

    kind: QueueKind
    url: str
    fifo: bool
    visibility_s: float
    """The queue's own default, for who does not say it with a receive."""
    retention_s: float
    """How long messages are kept; where each has a time of its own, the one that they get by default."""
    dead_letters: str | None
    """The name of the queue that it moves messages to by itself."""
    max_receive_count: int | None
    visible: int
    encrypted: bool
    """Whether messages are encrypted at rest with a key of the provider."""
    arn: str = ""
    """On SQS."""
    kms_key: str | None = None
    """On SQS: the key that encrypts at rest, when it is not SQS's own."""
    has_policy: bool = False
    """On SQS: whether the queue has an access policy of its own."""


def sqs_facts(url: str, attributes: Mapping[str, str]) -> QueueFacts:
    """The facts behind an answer of GetQueueAttributes (API model 2012-11-05); what it leaves out has SQS's defaults."""
    redrive = json.loads(attributes.get("RedrivePolicy") or "{}")
    return QueueFacts(
        kind=QueueKind.SQS,
        url=url,
        fifo=attributes.get("FifoQueue", "false") == "true" or url.endswith(".fifo"),
        visibility_s=float(attributes.get("VisibilityTimeout", _VISIBILITY_S)),
        retention_s=float(attributes.get("MessageRetentionPeriod", _RETENTION_S)),
        dead_letters=redrive["deadLetterTargetArn"].rsplit(":", 1)[-1] if "deadLetterTargetArn" in redrive else None,
        max_receive_count=int(redrive["maxReceiveCount"]) if "maxReceiveCount" in redrive else None,
        visible=int(attributes.get("ApproximateNumberOfMessages", 0)),
        encrypted=attributes.get("SqsManagedSseEnabled", "false") == "true",
        arn=attributes.get("QueueArn", ""),
        kms_key=attributes.get("KmsMasterKeyId") or None,
        has_policy=bool(attributes.get("Policy")),
    )
