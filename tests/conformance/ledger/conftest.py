"""The stores that the suite runs against. A new adapter is one more entry here, and passes without a change to a test."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import AioSession

from agentd.core import AwsConfig, AzureConfig, system_runtime
from agentd.ledger import Ledger, LedgerConfig
from agentd.ledger.config import AzureTableConfig, DynamoDbConfig, LedgerKind
from agentd.ledger.documents import DocumentLedger
from agentd.ledger.dynamodb import open_dynamodb_ledger
from agentd.ledger.opening import open_ledger
from agentd.ledger.sqlite import SqliteLedger
from tests.conformance.ledger.memory_store import Memory, MemoryStore
from tests.servers import AwsServer, AzureServer

Open = Callable[[], Coroutine[Any, Any, Ledger]]
Store = Callable[[pytest.FixtureRequest, Path], Open]
"""An empty store; every call of what it gives opens it once more, as another replica would."""


PATIENCE_S = 120.0
"""Hundreds of operations at once, client and server on one busy machine."""


def unobserved(_operation: str, _result: str, _seconds: float) -> None:
    """Nobody counts."""


def sqlite_store(_request: pytest.FixtureRequest, folder: Path) -> Open:
    """A file."""
    config = LedgerConfig(path=folder / "ledger.db")

    async def open_replica() -> Ledger:
        return await SqliteLedger.open(config, observe=unobserved)

    return open_replica


def memory_store(_request: pytest.FixtureRequest, _folder: Path) -> Open:
    """The logic of the clouds' ledgers, over a store in memory."""
    memory = Memory()

    async def open_replica() -> Ledger:
        return await DocumentLedger.open(MemoryStore(memory), system_runtime(), unobserved, operation_timeout_s=30.0)

    return open_replica


def dynamodb_store(request: pytest.FixtureRequest, _folder: Path) -> Open:
    """A table of its own."""
    server: AwsServer = request.getfixturevalue("ministack")
    session: AioSession = request.getfixturevalue("aws_session")
    runtime = system_runtime()
    table = DynamoDbConfig(call_timeout_s=30, table=f"ledger-{runtime.new_id()}", create_table=True)
    config = LedgerConfig(kind=LedgerKind.DYNAMODB, dynamodb=table, operation_timeout_s=PATIENCE_S)

    async def open_replica() -> Ledger:
        return await open_dynamodb_ledger(config, server.aws, runtime, observe=unobserved, session=session)

    return open_replica


def azure_table_store(request: pytest.FixtureRequest, folder: Path) -> Open:
    """A partition of its own."""
    server: AzureServer = request.getfixturevalue("azurite")
    runtime = system_runtime()
    secret = folder / "connection-string"
    secret.write_text(server.connection_string)
    table = AzureTableConfig(account_url=server.table_url, partition=runtime.new_id(), create_table=True)
    config = LedgerConfig(kind=LedgerKind.AZURE_TABLE, azure_table=table, operation_timeout_s=PATIENCE_S)

    async def open_replica() -> Ledger:
        azure = AzureConfig(connection_string_file=secret)
        return await open_ledger(config, AwsConfig(), azure, runtime, observe=unobserved)

    return open_replica


@pytest.fixture(scope="session")
def aws_session(aws_credentials: None) -> AioSession:
    """It holds the parsed service model, which takes longer to read than a test does."""
    return AioSession()


STORES: dict[str, Store] = {
    "sqlite": sqlite_store,
    "documents": memory_store,
    "dynamodb": dynamodb_store,
    "azure_table": azure_table_store,
}
SLOW = ("dynamodb", "azure_table")


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in STORES])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens replicas on one store that is empty at first. The test closes what it opens."""
    return STORES[request.param](request, tmp_path)


@pytest.fixture
async def replicas(open_store: Open) -> AsyncIterator[Open]:
    """Opens replicas on one store, and closes them after the test."""
    async with AsyncExitStack() as stack:

        async def open_replica() -> Ledger:
            ledger = await open_store()
            stack.push_async_callback(ledger.close)
            return ledger

        yield open_replica


@pytest.fixture
async def ledger(replicas: Open) -> Ledger:
    """A replica's ledger."""
    return await replicas()


@pytest.fixture
async def other(replicas: Open) -> Ledger:
    """A second replica's, on the same store."""
    return await replicas()
