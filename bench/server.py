"""The queue server that everything is measured on, and what it saw of its clients."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiobotocore.session import AioSession

from agentd.cli.stack import free_port
from bench.processes import BenchmarkError, Measured, Program, running

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient
    from types_aiobotocore_sqs.literals import QueueAttributeNameType

REGION = "eu-west-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "111122223333",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_HERE = Path(__file__).parent
_FAUXQS = _HERE.parent / "tests" / "servers" / "fauxqs" / "node_modules"
_START_S = 20.0
_LONGEST_S = 120.0
_POLL_S = 0.02
_SENDERS = 4
_BATCH = 10


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls by (operation, queue), entries deleted by queue, and when each queue was first asked for messages (epoch)."""

    calls: Mapping[tuple[str, str], int]
    deleted: Mapping[str, int]
    polled: Mapping[str, float]

    def of(self, *queues: "BenchQueue", operations: Sequence[str] = ()) -> int:
        """Calls that were about these queues."""
        names = {queue.name for queue in queues}
        return sum(
            number
            for (operation, name), number in self.calls.items()
            if name in names and (not operations or operation in operations)
        )


@dataclass(frozen=True, slots=True)
class BenchQueue:
    """A queue on the server."""

    name: str
    url: str
    fifo: bool


@dataclass(frozen=True, slots=True)
class Queues:
    """What one run of a contender works on."""

    commands: BenchQueue
    dead_letters: BenchQueue
    reports: BenchQueue


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was sent, by its transport's id, and when (monotonic)."""

    message_id: str
    at: float


@dataclass(frozen=True, slots=True)
class Server:
    """fauxqs, and a client of it that is none of what is measured."""

    endpoint_url: str
    client: "SQSClient"
    http: aiohttp.ClientSession
    numbers: Iterator[int]

    @property
    def environment(self) -> Mapping[str, str]:
        """What any AWS SDK needs to reach it."""
        return {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
        }

    async def queues(self, *, fifo: bool = False, visibility_s: int = 60) -> Queues:
        """Three new queues, as an installation has them."""
        number = next(self.numbers)
        dead_letters = await self._queue(f"dead-letters-{number}", fifo, {})
        arn = f"arn:aws:sqs:{REGION}:000000000000:{dead_letters.name}"
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "1000"})
        commands = await self._queue(
            f"commands-{number}", fifo, {"VisibilityTimeout": str(visibility_s), "RedrivePolicy": redrive}
        )
        return Queues(commands, dead_letters, await self._queue(f"reports-{number}", fifo, {}))

    async def _queue(self, name: str, fifo: bool, attributes: "dict[QueueAttributeNameType, str]") -> BenchQueue:
        if fifo:
            name, attributes = f"{name}.fifo", {**attributes, "FifoQueue": "true"}
        made = await self.client.create_queue(QueueName=name, Attributes=attributes)
        return BenchQueue(name, made["QueueUrl"], fifo)

    async def send(
        self, queue: BenchQueue, bodies: Sequence[str], *, groups: Sequence[str] | None = None
    ) -> list[Sent]:
        """Put messages on a queue, in full batches; on FIFO queues in their order, each in its group."""
        entries: list[Any] = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
        if queue.fifo:
            for n, entry in enumerate(entries):
                entry |= {
                    "MessageGroupId": groups[n] if groups else str(n),
                    "MessageDeduplicationId": f"{time.time_ns()}-{n}",
                }
        batches = iter([entries[start : start + _BATCH] for start in range(0, len(entries), _BATCH)])
        sent: dict[int, Sent] = {}

        async def sender() -> None:
            for batch in batches:
                at = time.monotonic()
                answer = await self.client.send_message_batch(QueueUrl=queue.url, Entries=batch)
                if answer.get("Failed"):
                    raise BenchmarkError(f"the server refused messages: {answer['Failed'][0]}")
                sent.update((int(done["Id"]), Sent(done["MessageId"], at)) for done in answer["Successful"])

        async with asyncio.TaskGroup() as group:
            for _ in range(1 if queue.fifo else _SENDERS):
                group.create_task(sender())
        return [sent[n] for n in range(len(bodies))]

    async def send_one(self, queue: BenchQueue, body: str) -> Sent:
        """Put one message on a standard queue."""
        at = time.monotonic()
        answer = await self.client.send_message(QueueUrl=queue.url, MessageBody=body)
        return Sent(answer["MessageId"], at)

    async def wait_until_polled(self, queue: BenchQueue, process: Measured) -> float:
        """When (epoch) the queue was first asked for messages. BenchmarkError when it is not in time."""
        deadline = time.monotonic() + _START_S
        while True:
            process.check()
            if (polled := (await self.counts()).polled.get(queue.name)) is not None:
                return polled
            if time.monotonic() > deadline:
                raise BenchmarkError(f"nobody polls {queue.name}; {process.tail()}")
            await asyncio.sleep(_POLL_S)

    async def take(self, queue: BenchQueue, number: int) -> list[dict[str, Any]]:
        """The bodies of so many messages, taken off the queue, each read as JSON."""
        bodies: list[dict[str, Any]] = []
        while len(bodies) < number:
            answer = await self.client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=_BATCH)
            messages = answer.get("Messages", [])
            if not messages:
                break
            bodies += [json.loads(message["Body"]) for message in messages]
            entries: list[Any] = [
                {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)
            ]
            await self.client.delete_message_batch(QueueUrl=queue.url, Entries=entries)
        return bodies

    async def depth(self, queue: BenchQueue) -> int:
        """How many messages are on the queue, shown or hidden."""
        answer = await self.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])
        found = answer["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])

    async def wait_until_empty(self, queue: BenchQueue, process: Measured) -> None:
        """Returns when nothing is on the queue any more. BenchmarkError when it is not in time."""
        deadline = time.monotonic() + _LONGEST_S
        while left := await self.depth(queue):
            process.check()
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{left} messages stay on {queue.name}; {process.tail()}")
            await asyncio.sleep(_POLL_S)

    async def counts(self) -> Counts:
        """What the server has seen since it was started."""
        async with self.http.get(f"{self.endpoint_url}/bench/counts") as answer:
            document = await answer.json()
        return Counts(
            calls={(key.split(" ")[0], key.split(" ")[1]): number for key, number in document["calls"].items()},
            deleted=document["deleted"],
            polled={name: at / 1000 for name, at in document["polled"].items()},
        )

    async def delete(self, queues: Queues) -> None:
        """Forget the queues and what is on them."""
        for queue in (queues.commands, queues.dead_letters, queues.reports):
            await self.client.delete_queue(QueueUrl=queue.url)


@asynccontextmanager
async def start_server(folder: Path) -> AsyncIterator[Server]:
    """The server is up until the block ends."""
    if not (_FAUXQS / "fauxqs").is_dir():
        raise BenchmarkError("fauxqs is not installed: run `make bench`, or `make servers` first")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = Program(["node", str(_HERE / "fauxqs.mjs"), str(port)], {}, folder / "fauxqs.log")
    session = AioSession()
    session.set_credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    async with (
        running(program) as process,
        aiohttp.ClientSession() as http,
        session.create_client("sqs", region_name=REGION, endpoint_url=url) as client,
    ):
        deadline = time.monotonic() + _START_S
        while not await _answers(http, f"{url}/health"):
            process.check()
            if time.monotonic() > deadline:
                raise BenchmarkError(f"fauxqs is not up after {_START_S:g} s; {process.tail()}")
            await asyncio.sleep(0.05)
        yield Server(url, client, http, count(1))


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url):
            return True
    except aiohttp.ClientError:
        return False
