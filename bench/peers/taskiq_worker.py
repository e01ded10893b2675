"""`python bench/peers/taskiq_worker.py QUEUE_NAME`: taskiq-aio-sqs with a task that does nothing, ten messages a receive."""

import os
import sys

import uvloop
from taskiq.api import run_receiver_task
from taskiq_aio_sqs import SQSBroker

from bench.contenders.ending import Tally, until_stopped

broker = SQSBroker(
    sys.argv[1],
    endpoint_url=os.environ["AWS_ENDPOINT_URL"],
    region_name=os.environ["AWS_REGION"],
    max_number_of_messages=10,
)
tally = Tally()


@broker.task(task_name="noop")
async def noop(name: str, body: str) -> None:
    """Nothing."""
    tally.handled(name)


async def main() -> None:
    """Work until stopped."""
    await broker.startup()
    await until_stopped(_work())
    await broker.shutdown()
    tally.tell()


async def _work() -> None:
    await run_receiver_task(broker)


if __name__ == "__main__":
    uvloop.run(main())
