"""The configured ledger, for commands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentd.ledger import Ledger
from agentd.ledger.sqlite import SqliteLedger
from agentd.settings import Settings


@asynccontextmanager
async def opened_ledger(settings: Settings, *, read_only: bool = False) -> AsyncIterator[Ledger]:
    """The ledger, open until the block ends; beside a running daemon as well."""
    ledger = await SqliteLedger.open(
        settings.ledger, observe=lambda _operation, _result, _seconds: None, read_only=read_only
    )
    try:
        yield ledger
    finally:
        await ledger.close()
