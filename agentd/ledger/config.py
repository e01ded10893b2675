"""Settings of the ledger."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from agentd.core import Config


class LedgerKind(StrEnum):
    """Where a ledger can be kept."""

    SQLITE = "sqlite"
    DYNAMODB = "dynamodb"
    AZURE_TABLE = "azure_table"


class DynamoDbConfig(Config):
    """The ledger in a DynamoDB table, for replicas on several hosts. Region, endpoint and credentials are those of `aws`."""

    table: str = Field(default="agentd-ledger", pattern=r"^[A-Za-z0-9_.-]{3,255}$")
    """Name of the table: one agent's, and nobody else's. Its partition key is `pk`, its sort key `sk`, both strings."""
    create_table: bool = False
    """Make the table, paid by use and protected against deletion, if it is missing."""
    call_timeout_s: float = Field(default=5.0, ge=0.1, le=60)
    """Seconds without a word of an answer after which a call is given up; it is repeated twice."""
    connections: int = Field(default=50, ge=1, le=1000)
    """Connections to DynamoDB at most; further calls wait for one."""


class AzureTableConfig(Config):
    """The ledger in an Azure Table, for replicas on several hosts. Credentials are those of `azure`."""

    account_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """URL of the storage account's tables: `https://ACCOUNT.table.core.windows.net`; of Azurite, `http://HOST:PORT/ACCOUNT`."""
    table: str = Field(default="agentdledger", pattern=r"^[A-Za-z][A-Za-z0-9]{2,62}$")
    """Name of the table. Several agents may share one, each with a partition of its own."""
    partition: str = Field(default="agentd", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """The partition that the whole ledger is in: one agent's, and nobody else's."""
    create_table: bool = False
    """Make the table if it is missing."""
    call_timeout_s: float = Field(default=5.0, ge=0.1, le=60)
    """Seconds without a word of an answer after which a call is given up; it is repeated twice."""
    connections: int = Field(default=50, ge=1, le=1000)
    """Calls at once at most; further ones wait."""


class LedgerConfig(Config):
    """Where the ledger is kept and how. The length of a lease is the dispatcher's to choose."""

    kind: LedgerKind = LedgerKind.SQLITE
    """`sqlite` is for replicas on one host that has a disk of its own; the others are for several hosts."""
    path: Path = Path("/var/lib/agentd/ledger.db")
    """The SQLite file, on a persistent volume of this host. Its folder is made (mode 0700) if it is missing."""
    busy_timeout_s: float = Field(default=5.0, ge=0.01, le=60)
    """Seconds to wait while another process writes to the SQLite file; a transaction takes milliseconds, so 5 s means a fault."""
    operation_timeout_s: float = Field(default=30.0, ge=0.1, le=600)
    """Seconds after which a caller is told that the ledger is unavailable; well above the busy time-out, below a lease."""
    group_limit: int = Field(default=128, ge=1, le=10_000)
    """Operations in one SQLite transaction at most: bounds what one commit waits for; larger groups gained nothing measurable."""
    queue_limit: int = Field(default=1024, ge=1, le=1_000_000)
    """Operations on SQLite that may wait at once; further callers wait for room, within their time-out."""
    retention_s: float = Field(default=28 * 86400.0, ge=3600)
    """Seconds that finished events are kept: twice the 14 days that SQS keeps a message at most, so that no duplicate,
    also out of a dead-letter queue, outlives its record."""
    maintenance_interval_s: float = Field(default=60.0, ge=1, le=86400)
    """Seconds between two rounds of maintenance: a purge of what is older than that, and fresh counts."""
    purge_limit: int = Field(default=1000, ge=1, le=100_000)
    """Records that a purge forgets in one SQLite transaction: other writers wait meanwhile, some 50 ms at the default."""
    dynamodb: DynamoDbConfig = DynamoDbConfig()
    azure_table: AzureTableConfig = AzureTableConfig()

    @property
    def place(self) -> str:
        """Where it is, for people: `at PATH`, `in table NAME`."""
        match self.kind:
            case LedgerKind.SQLITE:
                return f"at {self.path}"
            case LedgerKind.DYNAMODB:
                return f"in table {self.dynamodb.table}"
            case LedgerKind.AZURE_TABLE:
                return f"in partition {self.azure_table.partition} of table {self.azure_table.table}"

    @model_validator(mode="after")
    def _where_it_is(self) -> Self:
        if self.kind is LedgerKind.AZURE_TABLE and self.azure_table.account_url is None:
            raise ValueError("azure_table.account_url is missing; a ledger of kind azure_table needs it")
        return self
