"""Settings of the dispatcher."""

from pydantic import Field

from agentd.core import Config


class DispatchConfig(Config):
    """How events are run."""

    max_running: int = Field(default=64, ge=1, le=1000)
    """Handlers that run at once. Fewer than the bus's slots, so that waiting events do not starve running ones of memory."""
    flow_share_percent: int = Field(default=50, ge=1, le=100)
    """Share of the running places that the events of one environment or project may have; the others find one free."""
    flow_depth: int = Field(default=64, ge=1, le=100_000)
    """Events of one environment or project held at once; more are given back, so that one cannot fill the slots."""
    lane_depth: int = Field(default=8, ge=1, le=1000)
    """Events of one subject held at once; more are given back to the queue."""
    lane_wait_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds that an event may hold a slot while it waits for its lane or for a running place; then it is given back."""
    lease_s: float = Field(default=30.0, ge=0.5, le=3600)
    """Seconds that a claim on a subject lasts without a renewal: how long a crash keeps others from the subject."""
    clock_skew_s: float = Field(default=1.0, ge=0, le=60)
    """Seconds by which replicas' clocks may differ: a lease lasts so much longer for others than for who holds it."""
    fence_margin_s: float = Field(default=0.25, ge=0.05, le=30)
    """Seconds before the lease's end after which no write begins; a write's time-out ends by then as well."""
    step_retry_s: float = Field(default=30.0, ge=0, le=30)
    """Seconds for retries of one step in place; beyond them the event gives its lane and slot back."""
    step_retry_cap_s: float = Field(default=8.0, gt=0, le=30)
    """Longest pause between two tries of a step in place."""
    default_expiry_s: float = Field(default=86_400.0, gt=0)
    """Seconds that an event without expirytime may wait for what must come first."""
    defer_min_s: float = Field(default=1.0, gt=0)
    """Shortest time that an event is put off for."""
    defer_max_s: float = Field(default=300.0, gt=0)
    """Longest time that an event is put off for before it is looked at again."""
    report_wait_s: float = Field(default=30.0, gt=0)
    """Seconds that a finished event holds its slot while its report is on its way; then it is given back and repeated later."""
    claim_check_max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Largest data that a claim check may name."""
