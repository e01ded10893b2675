"""The ledger's logic over any store of small documents that are written together on condition: once for all clouds."""

from agentd.ledger.documents.ledger import DocumentLedger
from agentd.ledger.documents.store import (
    Change,
    Conflicted,
    Delete,
    DocumentStore,
    Expected,
    Place,
    Put,
    Stored,
    StoreLimits,
)

__all__ = [
    "Change",
    "Conflicted",
    "Delete",
    "DocumentLedger",
    "DocumentStore",
    "Expected",
    "Place",
    "Put",
    "StoreLimits",
    "Stored",
]
