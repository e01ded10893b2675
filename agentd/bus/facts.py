"""What an SQS queue says of itself, for people who look after it. Facts are those of the service's own API model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

_RETENTION_S = 345_600.0
_VISIBILITY_S = 30.0


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """How a queue is set up. `dead_letter_arn` and `max_receive_count` are those of its redrive policy, if it has one."""

    url: str
    arn: str
    fifo: bool
    visibility_s: float
    retention_s: float
    dead_letter_arn: str | None
    max_receive_count: int | None
    kms_key: str | None
    """The key that encrypts at rest, when it is not SQS's own."""
    sqs_encrypts: bool
    """Whether SQS encrypts at rest with a key of its own."""
    has_policy: bool
    """Whether the queue has an access policy of its own."""
    visible: int


def facts_of(url: str, attributes: Mapping[str, str]) -> QueueFacts:
    """The facts behind an answer of GetQueueAttributes; what it leaves out has SQS's defaults."""
    redrive = json.loads(attributes.get("RedrivePolicy") or "{}")
    return QueueFacts(
        url=url,
        arn=attributes.get("QueueArn", ""),
        fifo=attributes.get("FifoQueue", "false") == "true" or url.endswith(".fifo"),
        visibility_s=float(attributes.get("VisibilityTimeout", _VISIBILITY_S)),
        retention_s=float(attributes.get("MessageRetentionPeriod", _RETENTION_S)),
        dead_letter_arn=redrive.get("deadLetterTargetArn"),
        max_receive_count=int(redrive["maxReceiveCount"]) if "maxReceiveCount" in redrive else None,
        kms_key=attributes.get("KmsMasterKeyId") or None,
        sqs_encrypts=attributes.get("SqsManagedSseEnabled", "false") == "true",
        has_policy=bool(attributes.get("Policy")),
        visible=int(attributes.get("ApproximateNumberOfMessages", 0)),
    )
