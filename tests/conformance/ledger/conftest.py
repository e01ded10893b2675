"""The stores that the suite runs against. A new adapter is one more entry here, and passes without a change to a test."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agentd.ledger import Ledger, LedgerConfig
from agentd.ledger.sqlite import SqliteLedger

Open = Callable[[], Coroutine[Any, Any, Ledger]]


def sqlite_store(folder: Path) -> Open:
    """An empty store; every call opens it once more, as another replica would."""
    config = LedgerConfig(path=folder / "ledger.db")

    async def open_replica() -> Ledger:
        return await SqliteLedger.open(config, observe=lambda _operation, _result, _seconds: None)

    return open_replica


STORES: dict[str, Callable[[Path], Open]] = {"sqlite": sqlite_store}


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens replicas on one store that is empty at first. The test closes what it opens."""
    return STORES[request.param](tmp_path)


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
