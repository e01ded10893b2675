"""The three queues of a stack, of whichever kind."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aiobotocore.session import AioSession

from agentd.bus import Queue, kind_of, queue_for
from agentd.bus.address import EmbeddedAddress
from agentd.cli.azurite import run_azurite
from agentd.core import AwsConfig, AzureConfig, Runtime, system_runtime

_CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"  # the name that Azure's own tools know
_RECEIVES = 100  # a backstop: the agent counts attempts itself, in its ledger


class QueueChoice(StrEnum):
    """What the queues of a stack are."""

    SQS = "sqs"
    AZURE = "azure"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class StackQueues:
    """Where the queues are, and how they are reached."""

    commands_url: str
    dead_letters_url: str
    reports_url: str
    aws: AwsConfig
    azure: AzureConfig

    def queue(self, url: str, name: str, runtime: Runtime) -> Queue:
        """One of them, not open."""
        return queue_for(url, name=name, aws=self.aws, azure=self.azure, runtime=runtime)

    @property
    def where(self) -> str:
        """For people."""
        return f"{kind_of(self.commands_url)}: {self.commands_url}"

    def environment(self) -> Mapping[str, str]:
        """What a daemon or command must know of them."""
        urls = {"AGENTD_COMMANDS__QUEUE_URL": self.commands_url, "AGENTD_REPORTS_QUEUE_URL": self.reports_url}
        if self.azure.connection_string_variable is None:
            return urls
        variable = {"AGENTD_AZURE__CONNECTION_STRING_VARIABLE": _CONNECTION, _CONNECTION: os.environ[_CONNECTION]}
        return {**urls, **variable}


async def make_queues(
    parts: AsyncExitStack,
    choice: QueueChoice,
    folder: Path,
    aws: AwsConfig,
    *,
    fifo: bool,
    visibility_s: int,
    port: int,
) -> StackQueues:
    """The queues, and until `parts` ends what serves them, on `port` if need be.

    Azure has no FIFO queues; and only those of SQS are given a visibility of their own.
    """
    match choice:
        case QueueChoice.SQS:
            return await _sqs(aws, ".fifo" if fifo else "", visibility_s)
        case QueueChoice.AZURE:
            return await _azure(parts, folder, aws, port)
        case QueueChoice.EMBEDDED:
            return await _embedded(folder, aws, ".fifo" if fifo else "")


async def _sqs(aws: AwsConfig, suffix: str, visibility_s: int) -> StackQueues:
    attributes = {"FifoQueue": "true"} if suffix else {}
    async with AioSession().create_client("sqs", region_name=aws.region, endpoint_url=aws.endpoint_url) as sqs:
        dead_letters = await sqs.create_queue(QueueName=f"conveyor-dead-letters{suffix}", Attributes=attributes)
        described = await sqs.get_queue_attributes(QueueUrl=dead_letters["QueueUrl"], AttributeNames=["QueueArn"])
        arn = described["Attributes"]["QueueArn"]
        redrive = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "{_RECEIVES}"}}'
        commands = await sqs.create_queue(
            QueueName=f"conveyor-commands{suffix}",
            Attributes={**attributes, "VisibilityTimeout": str(visibility_s), "RedrivePolicy": redrive},
        )
        reports = await sqs.create_queue(QueueName=f"conveyor-reports{suffix}", Attributes=attributes)
    return StackQueues(commands["QueueUrl"], dead_letters["QueueUrl"], reports["QueueUrl"], aws, AzureConfig())


async def _azure(parts: AsyncExitStack, folder: Path, aws: AwsConfig, port: int) -> StackQueues:
    azurite = await parts.enter_async_context(run_azurite(port, folder / "azurite.log"))
    os.environ[_CONNECTION] = azurite.connection_string
    parts.callback(os.environ.pop, _CONNECTION)
    azure = AzureConfig(connection_string_variable=_CONNECTION)
    return await _made(azurite.account_url + "/conveyor-{}", "", aws, azure)


async def _embedded(folder: Path, aws: AwsConfig, suffix: str) -> StackQueues:
    path = await asyncio.to_thread((folder / "queues.db").resolve)
    return await _made(EmbeddedAddress(path, "conveyor-{}").url, suffix, aws, AzureConfig())


async def _made(form: str, suffix: str, aws: AwsConfig, azure: AzureConfig) -> StackQueues:
    """Queues that an adapter may make; the dead-letter queue is the one that goes with commands."""
    runtime = system_runtime()

    async def made(url: str, name: str) -> Queue:
        queue = queue_for(url, name=name, aws=aws, azure=azure, runtime=runtime, create=True)
        await queue.open()
        await queue.close()
        return queue

    commands = await made(form.format("commands") + suffix, "commands")
    dead_letters = await made(str(commands.dead_letters_url), "dead-letters")
    reports = await made(form.format("reports") + suffix, "reports")
    return StackQueues(commands.url, dead_letters.url, reports.url, aws, azure)
