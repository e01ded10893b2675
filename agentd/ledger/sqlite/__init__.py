"""The ledger in one SQLite file, for replicas on one host."""

from agentd.ledger.sqlite.group_commit import Writes
from agentd.ledger.sqlite.ledger import SqliteLedger

__all__ = ["SqliteLedger", "Writes"]
