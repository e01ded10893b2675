"""`python -m bench.contenders.bare QUEUE_URL [REPORTS_URL]`: the least that a consumer can do with aiobotocore as it comes.

Eight receivers; each receives up to ten messages, sends as many reports in one batch if there is a queue for them, and
deletes the ten in one batch. BENCH_TIMES: where to write when each message came, as the other contenders do.
"""

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import uvloop
from aiobotocore.session import AioSession

from bench.contenders.ending import Tally, until_stopped

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient

_RECEIVERS = int(os.environ.get("BENCH_RECEIVERS", "8"))
_WAIT_S = 10
_REPORT = "x" * 1100  # as long as an agent's report


async def _receiver(sqs: "SQSClient", url: str, reports_url: str | None, tally: Tally) -> None:
    while True:
        answer = await sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=_WAIT_S,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp", "MessageGroupId"],
            MessageAttributeNames=["All"],
        )
        at = time.monotonic()
        messages = answer.get("Messages", [])
        if not messages:
            continue
        for message in messages:
            tally.handled(message["MessageId"], at)
        if reports_url is not None:
            reports: list[Any] = [{"Id": str(n), "MessageBody": _REPORT} for n in range(len(messages))]
            await sqs.send_message_batch(QueueUrl=reports_url, Entries=reports)
        entries: list[Any] = [
            {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)
        ]
        await sqs.delete_message_batch(QueueUrl=url, Entries=entries)


async def _main(url: str, reports_url: str | None) -> None:
    tally = Tally()
    async with AioSession().create_client("sqs") as sqs:
        await until_stopped(*(_receiver(sqs, url, reports_url, tally) for _ in range(_RECEIVERS)))
    tally.tell()


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], next(iter(sys.argv[2:]), None)))
