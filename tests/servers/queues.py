"""Making queues on a server, past the code under test."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from aiobotocore.session import AioSession

from tests.servers.processes import AwsServer

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient


@dataclass(frozen=True, slots=True)
class QueuePair:
    """URLs of a queue and of its dead-letter queue."""

    commands: str
    dead_letters: str


@dataclass(frozen=True, slots=True)
class SqsAdmin:
    """What the owner of the account does: create queues, put messages on them that no agent would send."""

    client: "SQSClient"
    session: AioSession

    @classmethod
    @asynccontextmanager
    async def at(cls, server: AwsServer) -> AsyncIterator["SqsAdmin"]:
        """An administrator of one server, until the block ends."""
        session = AioSession()
        client = session.create_client("sqs", region_name=server.aws.region, endpoint_url=server.aws.endpoint_url)
        async with client as sqs:
            yield cls(sqs, session)

    async def queue(self, *, fifo: bool = False, attributes: Mapping[str, str] | None = None) -> str:
        """The URL of a new queue of its own."""
        suffix = ".fifo" if fifo else ""
        wanted = dict(attributes or {}) | ({"FifoQueue": "true"} if fifo else {})
        answer = await self.client.create_queue(QueueName=f"q-{uuid4()}{suffix}", Attributes=wanted)  # type: ignore[arg-type]  # names are literals in the stubs
        return answer["QueueUrl"]

    async def pair(self, *, fifo: bool = False, max_receive_count: int = 50) -> QueuePair:
        """A queue whose redrive policy names another new one."""
        dead_letters = await self.queue(fifo=fifo)
        policy = {"deadLetterTargetArn": await self.arn(dead_letters), "maxReceiveCount": str(max_receive_count)}
        commands = await self.queue(fifo=fifo, attributes={"RedrivePolicy": json.dumps(policy)})
        return QueuePair(commands, dead_letters)

    async def arn(self, url: str) -> str:
        """The queue's ARN."""
        answer = await self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return answer["Attributes"]["QueueArn"]
