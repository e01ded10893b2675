"""Opening the ledger that settings name."""

from collections.abc import Callable
from typing import Protocol

from agentd.core import AwsConfig, AzureConfig, PermanentError, Reason, Runtime
from agentd.ledger.config import LedgerConfig, LedgerKind
from agentd.ledger.protocol import Ledger

Observe = Callable[[str, str, float], None]


class OpenedLedger(Ledger, Protocol):
    """A ledger that also knows when it is not well."""

    def check(self) -> str | None:
        """What is wrong that no caller is told of, or None."""
        ...


async def open_ledger(
    config: LedgerConfig,
    aws: AwsConfig,
    azure: AzureConfig,
    runtime: Runtime,
    *,
    observe: Observe,
    read_only: bool = False,
) -> OpenedLedger:
    """Open the ledger, making what it is kept in as settings allow; `read_only` takes it as it is, beside a daemon.

    `observe(operation, result, seconds)` is told of every operation; result is ok or error (of the store).
    PermanentError says in one sentence why it cannot be used; TransientError(unavailable): the store does not answer.
    """
    # Only what is used is imported: an installation has the SDK of its own cloud.
    match config.kind:
        case LedgerKind.SQLITE:
            from agentd.ledger.sqlite import SqliteLedger

            return await SqliteLedger.open(config, observe=observe, read_only=read_only)
        case LedgerKind.DYNAMODB:
            from agentd.ledger.dynamodb import open_dynamodb_ledger

            return await open_dynamodb_ledger(config, aws, runtime, observe=observe, read_only=read_only)
        case LedgerKind.AZURE_TABLE:
            return await _open_azure_table(config, azure, runtime, observe=observe, read_only=read_only)


async def _open_azure_table(
    config: LedgerConfig, azure: AzureConfig, runtime: Runtime, *, observe: Observe, read_only: bool
) -> OpenedLedger:
    try:
        from agentd.ledger.azure_table import open_azure_table_ledger
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "azure":
            raise
        raise PermanentError(
            Reason.UNSUPPORTED, "ledger: what Azure needs is not installed (pip install 'agentd[azure]')"
        ) from error
    return await open_azure_table_ledger(config, azure, runtime, observe=observe, read_only=read_only)
