"""The configured ledger, for commands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentd.core import system_runtime
from agentd.ledger import Ledger
from agentd.ledger.opening import open_ledger
from agentd.settings import Settings


@asynccontextmanager
async def opened_ledger(settings: Settings, *, read_only: bool = False) -> AsyncIterator[Ledger]:
    """The ledger, open until the block ends; beside a running daemon as well."""
    ledger = await open_ledger(
        settings.ledger,
        settings.aws,
        settings.azure,
        system_runtime(),
        observe=lambda _operation, _result, _seconds: None,
        read_only=read_only,
    )
    try:
        yield ledger
    finally:
        await ledger.close()
