"""The ledger in an Azure Table."""

from agentd.ledger.azure_table.opening import open_azure_table_ledger
from agentd.ledger.azure_table.store import AzureTableStore

__all__ = ["AzureTableStore", "open_azure_table_ledger"]
