"""Work that goes on beside events: what only one replica may do is cut into shards, each held under a lease in the ledger."""

from agentd.reconcile.config import ShardsConfig, StateConfig
from agentd.reconcile.shards import Shards, shard_of

__all__ = ["Shards", "ShardsConfig", "StateConfig", "shard_of"]
