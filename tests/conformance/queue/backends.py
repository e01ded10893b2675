"""Where queues are: the owner's side of each kind, past the code under test, and the adapters that reach it."""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import pytest
from azure.storage.queue.aio import QueueServiceClient

from agentd.bus import Queue
from agentd.bus.address import embedded_address
from agentd.bus.azure import AzureQueue
from agentd.bus.embedded import Attributes, EmbeddedQueue
from agentd.bus.sqs import SqsQueue
from agentd.core import AwsConfig, AzureConfig, Runtime
from tests.servers import AwsServer, AzureServer, SqsAdmin

CONNECTION = "AGENTD_TESTS_CONNECTION_STRING"
_NOBODY = "http://127.0.0.1:1"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a queue is to be set up, as far as its kind lets one say so; None: as the kind does by itself."""

    max_message_bytes: int | None = None
    retention_s: int | None = None
    visibility_s: int | None = None
    max_receive_count: int | None = None
    """With one, it has a dead-letter queue."""


class Backend(ABC):
    """One server or file, for queues of one type."""

    name: str
    fifo: bool
    makes_queues: ClassVar[bool]
    """Whether an adapter may be told to make its queue."""
    receives: ClassVar[str]
    """What a receive is called in errors."""
    traced: ClassVar[bool] = True
    """Whether errors name a request of the provider."""

    @abstractmethod
    async def make(self, wanted: Wanted) -> str:
        """The URL of a new queue."""

    @abstractmethod
    async def drop(self, url: str) -> None:
        """The queue is gone."""

    @abstractmethod
    def missing(self) -> str:
        """The URL of a queue that is not there."""

    @abstractmethod
    def queue(self, url: str, *, name: str, runtime: Runtime, create: bool = False) -> Queue:
        """The adapter, not open."""

    @abstractmethod
    def unreachable(self, runtime: Runtime) -> AbstractAsyncContextManager[Queue]:
        """A queue `commands`, not open, whose server does not answer, while the block lasts."""

    @abstractmethod
    def forbidden(self, runtime: Runtime) -> AbstractAsyncContextManager[Queue]:
        """A queue `commands`, not open, that whoever asks may not use, while the block lasts."""


@dataclass(slots=True)
class SqsBackend(Backend):
    """A server that speaks SQS."""

    makes_queues: ClassVar[bool] = False
    receives: ClassVar[str] = "ReceiveMessage"
    server: AwsServer
    admin: SqsAdmin
    fifo: bool

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.server.name

    async def make(self, wanted: Wanted) -> str:
        attributes = {
            "MaximumMessageSize": wanted.max_message_bytes,
            "MessageRetentionPeriod": wanted.retention_s,
            "VisibilityTimeout": wanted.visibility_s,
        }
        given = {name: str(value) for name, value in attributes.items() if value is not None}
        if wanted.max_receive_count is not None:
            arn = await self.admin.arn(await self.admin.queue(fifo=self.fifo))
            policy = {"deadLetterTargetArn": arn, "maxReceiveCount": str(wanted.max_receive_count)}
            given["RedrivePolicy"] = json.dumps(policy)
        return await self.admin.queue(fifo=self.fifo, attributes=given)

    async def drop(self, url: str) -> None:
        await self.admin.client.delete_queue(QueueUrl=url)

    def missing(self) -> str:
        return f"{self.server.endpoint_url}/111122223333/nowhere-{uuid4()}" + (".fifo" if self.fifo else "")

    def queue(self, url: str, *, name: str, runtime: Runtime, create: bool = False) -> Queue:
        return SqsQueue(url, name=name, aws=self.server.aws, runtime=runtime, session=self.admin.session)

    @asynccontextmanager
    async def unreachable(self, runtime: Runtime) -> AsyncIterator[Queue]:
        aws = AwsConfig(region="eu-west-1", endpoint_url=_NOBODY)
        yield SqsQueue(f"{_NOBODY}/1/commands", name="commands", aws=aws, runtime=runtime)

    @asynccontextmanager
    async def forbidden(self, runtime: Runtime) -> AsyncIterator[Queue]:
        """No server here looks at credentials: there are none at all."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                patch.delenv(name)
            patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            url = await self.make(Wanted())
            yield SqsQueue(url, name="commands", aws=self.server.aws, runtime=runtime)


@dataclass(slots=True)
class AzureBackend(Backend):
    """A server that speaks Azure Storage."""

    makes_queues: ClassVar[bool] = True
    receives: ClassVar[str] = "GetMessages"
    server: AzureServer
    owner: QueueServiceClient
    fifo: bool = False
    name: str = "azurite"

    @classmethod
    @asynccontextmanager
    async def at(cls, server: AzureServer) -> AsyncIterator["AzureBackend"]:
        """With the account's key in the environment, until the block ends."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(CONNECTION, server.connection_string)
            async with QueueServiceClient.from_connection_string(server.connection_string, retry_total=0) as owner:
                yield cls(server, owner)

    async def make(self, wanted: Wanted) -> str:
        url = self.missing()
        await self.owner.create_queue(url.rsplit("/", 1)[-1])
        return url

    async def drop(self, url: str) -> None:
        await self.owner.delete_queue(url.rsplit("/", 1)[-1])

    def missing(self) -> str:
        return f"azure+{self.server.queue_url}/q-{uuid4()}"

    def queue(self, url: str, *, name: str, runtime: Runtime, create: bool = False) -> Queue:
        azure = AzureConfig(connection_string_variable=CONNECTION)
        return AzureQueue(url, name=name, azure=azure, runtime=runtime, create=create)

    @asynccontextmanager
    async def unreachable(self, runtime: Runtime) -> AsyncIterator[Queue]:
        yield self.queue(f"azure+{_NOBODY}/account/commands", name="commands", runtime=runtime)

    @asynccontextmanager
    async def forbidden(self, runtime: Runtime) -> AsyncIterator[Queue]:
        url = await self.make(Wanted())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(CONNECTION, f"AccountName={self.server.account};AccountKey=bm90IGl0cyBrZXk=")
            yield self.queue(url, name="commands", runtime=runtime)


@dataclass(slots=True)
class EmbeddedBackend(Backend):
    """A file of this machine."""

    makes_queues: ClassVar[bool] = True
    receives: ClassVar[str] = "receive"
    traced: ClassVar[bool] = False
    folder: Path
    fifo: bool
    runtime: Runtime
    name: str = "embedded"

    async def make(self, wanted: Wanted) -> str:
        url = self.missing()
        given = {
            "max_message_bytes": wanted.max_message_bytes,
            "retention_s": wanted.retention_s,
            "visibility_s": wanted.visibility_s,
            "max_receive_count": wanted.max_receive_count,
        }
        letters = embedded_address(url).dead_letters.queue if wanted.max_receive_count is not None else None
        attributes = Attributes(
            dead_letters=letters,
            **{name: value for name, value in given.items() if value is not None},
        )
        maker = EmbeddedQueue(url, name="made", runtime=self.runtime, create=True, attributes=attributes)
        await maker.open()
        await maker.close()
        return url

    async def drop(self, url: str) -> None:
        with closing(sqlite3.connect(self._file)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("DELETE FROM queues WHERE name = ?", (embedded_address(url).queue,))

    def missing(self) -> str:
        return f"file://{self._file}?name=q-{uuid4()}" + (".fifo" if self.fifo else "")

    def queue(self, url: str, *, name: str, runtime: Runtime, create: bool = False) -> Queue:
        return EmbeddedQueue(url, name=name, runtime=runtime, create=create)

    @asynccontextmanager
    async def unreachable(self, runtime: Runtime) -> AsyncIterator[Queue]:
        """Another process does not let go of the file."""
        url = f"file://{self.folder / 'held.db'}?name=commands"
        with closing(sqlite3.connect(self.folder / "held.db", isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            yield EmbeddedQueue(url, name="commands", runtime=runtime, create=True, call_timeout_s=0.5)

    @asynccontextmanager
    async def forbidden(self, runtime: Runtime) -> AsyncIterator[Queue]:
        """What should be the file's folder is no folder."""
        blocked = self.folder / f"blocked-{uuid4()}"
        blocked.touch()
        yield EmbeddedQueue(f"file://{blocked}/queues.db?name=commands", name="commands", runtime=runtime, create=True)

    @property
    def _file(self) -> Path:
        return self.folder / "queues.db"
