"""Settings of what goes on beside events."""

from pydantic import Field

from agentd.core import Config


class ShardsConfig(Config):
    """How replicas share the work that only one of them may do at a time."""

    lease_s: float = Field(default=30.0, ge=1, le=3600)
    """Seconds that a replica holds its shards without a renewal: how long a crash keeps their work from being done."""
    clock_skew_s: float = Field(default=1.0, ge=0, le=60)
    """Seconds by which replicas' clocks may differ: a lease lasts so much longer for others than for who holds it."""
