"""What a queue says of itself, from the attributes that SQS answers with."""

from agentd.bus.facts import QueueFacts, QueueKind, sqs_facts

URL = "https://sqs.eu-west-1.amazonaws.com/111122223333/commands"
ARN = "arn:aws:sqs:eu-west-1:111122223333:commands"


def test_a_queue_with_everything() -> None:
    facts = sqs_facts(
        f"{URL}.fifo",
        {
            "QueueArn": f"{ARN}.fifo",
            "FifoQueue": "true",
            "VisibilityTimeout": "60",
            "MessageRetentionPeriod": "1209600",
            "RedrivePolicy": f'{{"deadLetterTargetArn":"{ARN}-letters.fifo","maxReceiveCount":100}}',
            "KmsMasterKeyId": "alias/queues",
            "SqsManagedSseEnabled": "false",
            "Policy": "{}",
            "ApproximateNumberOfMessages": "7",
        },
    )
    assert facts == QueueFacts(
        kind=QueueKind.SQS,
        url=f"{URL}.fifo",
        arn=f"{ARN}.fifo",
        fifo=True,
        visibility_s=60.0,
        retention_s=1_209_600.0,
        dead_letters="commands-letters.fifo",
        max_receive_count=100,
        kms_key="alias/queues",
        encrypted=False,
        has_policy=True,
        visible=7,
    )


def test_what_sqs_leaves_out_has_its_defaults() -> None:
    facts = sqs_facts(URL, {"QueueArn": ARN, "SqsManagedSseEnabled": "true"})
    assert (facts.fifo, facts.visibility_s, facts.retention_s) == (False, 30.0, 345_600.0)
    assert (facts.dead_letters, facts.max_receive_count) == (None, None)
    assert (facts.kms_key, facts.encrypted, facts.has_policy, facts.visible) == (None, True, False, 0)
