"""Settings of what goes on beside events."""

from pydantic import Field

from agentd.core import Config


class ShardsConfig(Config):
    """How replicas share the work that only one of them may do at a time."""

    lease_s: float = Field(default=30.0, ge=1, le=3600)
    """Seconds that a replica holds its shards without a renewal: how long a crash keeps their work from being done."""
    clock_skew_s: float = Field(default=1.0, ge=0, le=60)
    """Seconds by which replicas' clocks may differ: a lease lasts so much longer for others than for who holds it."""


class StateConfig(Config):
    """What the control plane is told of environments, their failing pods and the cluster's nodes, as they change."""

    enabled: bool = True
    """Whether anything is told. It takes a cluster, and the right to list and watch what it is read from."""
    interval_s: float = Field(default=1.0, gt=0, le=60)
    """Seconds for which changes are gathered before they are told: of what changes all the time the latest state is enough."""
    batch: int = Field(default=50, ge=1, le=1000)
    """States of a kind that are told at most each time."""
    resync_s: float = Field(default=3600.0, ge=10, le=604_800)
    """Seconds after which everything is told again, changed or not."""
    save_interval_s: float = Field(default=15.0, ge=1, le=3600)
    """Seconds between what the ledger is told of what was told: so much may be told twice after a crash."""
    leave_s: float = Field(default=2.0, gt=0, le=30)
    """Seconds that the last of it may take when a replica stops."""
