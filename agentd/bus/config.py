"""Settings of the bus."""

from typing import Self

from pydantic import Field, model_validator

from agentd.core import Config, RetryPolicy


class BusConfig(Config):
    """How messages are received, held, retried and given back."""

    slots: int = Field(64, ge=1, le=100_000)
    """Messages held at once, from receive to acknowledgement. 64 keeps two cores busy with calls to the cloud."""
    receivers_min: int = Field(1, ge=1, le=64)
    """Receivers of an idle queue. One long poll sees a message as soon as ten would."""
    receivers_max: int = Field(4, ge=1, le=64)
    """Receivers of a busy queue. Four of ten messages each outrun what two cores can handle."""
    wait_s: float = Field(10.0, ge=1, le=20)
    """Length of a long poll, in whole seconds. A drain waits for open ones, so it stays well inside the grace period."""
    visibility_s: float = Field(60.0, ge=2, le=43_200)
    """Length of a lease on a message. It is how late a message is after a crash, and it is extended while it is held."""
    lease_tick_s: float = Field(1.0, gt=0, le=10)
    """How often leases are looked at. They are extended when a third is left: 20 ticks for the default lease."""
    lease_margin_s: float = Field(60.0, ge=1, le=3_600)
    """A message is given up so long before the queue's own cap (12 h for SQS) would take it away in mid-call."""
    retry_base_s: float = Field(2.0, gt=0, le=3_600)
    """Ceiling of the first delay after an unexpected error; it doubles with each receive."""
    retry_cap_s: float = Field(300.0, gt=0, le=43_200)
    """Ceiling of any such delay: five minutes, so that a mended fault is noticed soon."""
    receive_backoff_base_s: float = Field(0.5, gt=0, le=60)
    """Ceiling of the first pause after a failed receive; it doubles up to the cap."""
    receive_backoff_cap_s: float = Field(20.0, gt=0, le=300)
    """Ceiling of the pause after a failed receive: a queue that is back is used again within seconds."""
    batch_linger_s: float = Field(0.02, ge=0, le=1)
    """How long the first entry of a batch waits for others: 20 ms saves most calls and nobody notices."""
    batches_in_flight: int = Field(4, ge=1, le=64)
    """Batches of one kind on their way at once."""
    ack_timeout_s: float = Field(30.0, ge=1, le=600)
    """How long giving a message back is tried; after that its lease runs out by itself. Deletes are tried for ever."""
    dead_letter_visibility_s: float = Field(30.0, ge=2, le=43_200)
    """How long a dead letter is hidden while it is looked at."""
    sweep_interval_s: float = Field(300.0, gt=0, le=86_400)
    """How often the dead-letter queue is looked through for what the queue moved there by itself."""
    sweep_limit: int = Field(200, ge=1, le=10_000)
    """Dead letters looked at in one sweep."""
    depth_interval_s: float = Field(30.0, gt=0, le=3_600)
    """How often the depth of both queues is asked: 0.03 calls a second."""
    release_timeout_s: float = Field(5.0, gt=0, le=300)
    """How long a drain waits, after the grace period, for cancelled deliveries to be given back."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.receivers_min > self.receivers_max:
            raise ValueError("receivers_min must not be above receivers_max")
        if self.lease_tick_s * 6 > self.visibility_s:
            raise ValueError("lease_tick_s must be at most a sixth of visibility_s")
        return self

    @property
    def retry(self) -> RetryPolicy:
        """Delays after an unexpected error."""
        return RetryPolicy(base_s=self.retry_base_s, cap_s=self.retry_cap_s)

    @property
    def receive_backoff(self) -> RetryPolicy:
        """Pauses after failed calls to the queue."""
        return RetryPolicy(base_s=self.receive_backoff_base_s, cap_s=self.receive_backoff_cap_s)
