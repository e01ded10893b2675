"""Settings of the ledger."""

from pathlib import Path

from pydantic import Field

from agentd.core import Config


class LedgerConfig(Config):
    """Where the ledger is kept and how. The length of a lease is the dispatcher's to choose."""

    path: Path = Path("/var/lib/agentd/ledger.db")
    """The SQLite file, on a persistent volume of this host. Its folder is made (mode 0700) if it is missing."""
    busy_timeout_s: float = Field(default=5.0, ge=0.01, le=60)
    """Seconds to wait while another process writes to the file; a transaction takes milliseconds, so 5 s means a fault."""
    operation_timeout_s: float = Field(default=30.0, ge=0.1, le=600)
    """Seconds after which a caller is told that the ledger is unavailable; well above the busy time-out, below a lease."""
    group_limit: int = Field(default=128, ge=1, le=10_000)
    """Operations in one transaction at most: bounds what one commit waits for; larger groups gained nothing measurable."""
    queue_limit: int = Field(default=1024, ge=1, le=1_000_000)
    """Operations that may wait at once; further callers wait for room, within their time-out."""
    retention_s: float = Field(default=28 * 86400.0, ge=3600)
    """Seconds that finished events are kept: twice the 14 days that SQS keeps a message at most, so that no duplicate,
    also out of a dead-letter queue, outlives its record."""
    maintenance_interval_s: float = Field(default=60.0, ge=1, le=86400)
    """Seconds between two rounds of maintenance: a purge of what is older than that, and fresh counts."""
    purge_limit: int = Field(default=1000, ge=1, le=100_000)
    """Records that a purge forgets in one transaction: other writers wait meanwhile, some 50 ms at the default."""
