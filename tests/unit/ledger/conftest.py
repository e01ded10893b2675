"""A ledger's place, and ledgers there."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agentd.ledger import LedgerConfig
from agentd.ledger.sqlite import SqliteLedger

Observed = list[tuple[str, str, float]]
Open = Callable[..., Coroutine[Any, Any, SqliteLedger]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is to be; neither file nor folder exists."""
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def observed() -> Observed:
    """What the ledgers of the test have told of their operations."""
    return []


@pytest.fixture
async def open_ledger(path: Path, observed: Observed) -> AsyncIterator[Open]:
    """Opens ledgers there; keyword arguments are settings, and `read_only`."""
    async with AsyncExitStack() as stack:

        async def open_one(*, read_only: bool = False, **settings: Any) -> SqliteLedger:  # Any: settings by name
            config = LedgerConfig(path=path, **settings)
            ledger = await SqliteLedger.open(
                config,
                observe=lambda operation, result, seconds: observed.append((operation, result, seconds)),
                read_only=read_only,
            )
            stack.push_async_callback(ledger.close)
            return ledger

        yield open_one
