"""Opening the ledger in its table."""

from agentd.core import AzureConfig, Runtime
from agentd.ledger.azure_table.store import AzureTableStore
from agentd.ledger.config import LedgerConfig
from agentd.ledger.documents import DocumentLedger
from agentd.ledger.documents.transaction import Observe


async def open_azure_table_ledger(
    config: LedgerConfig, azure: AzureConfig, runtime: Runtime, *, observe: Observe, read_only: bool = False
) -> DocumentLedger:
    """Open the table, making it if settings allow that; `read_only` takes it as it is.

    PermanentError says in one sentence why the table cannot be used; TransientError(unavailable): Azure does not answer.
    """
    store = AzureTableStore(config.azure_table, azure)
    await store.open(create=config.azure_table.create_table and not read_only)
    return await DocumentLedger.open(
        store, runtime, observe, operation_timeout_s=config.operation_timeout_s, read_only=read_only
    )
