"""Settings of signatures."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from agentd.core import Config


class SignaturesConfig(Config):
    """Which events are believed. Without keys every event is, and the queue's own permissions are the only guard."""

    keys_file: Path | None = None
    """File with the keys that may vouch for events, a JSON Web Key Set of Ed25519 keys; looked at again without a restart."""
    keys_secret: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = None
    """The same set in a secret instead: its ARN or name in AWS Secrets Manager."""
    required: bool = Field(default_factory=lambda earlier: bool(earlier.get("keys_file") or earlier.get("keys_secret")))
    """Refuse what is not signed. True when there are keys; false with keys is for the time in which senders learn to sign:
    a signature must hold then, but need not be there."""
    max_age_s: float = Field(default=21 * 86400.0, ge=60)
    """Refuse what was signed longer ago, by its `time`: beyond the 14 days that a queue keeps a message, and below
    `ledger.retention_s`, after which the ledger would not know an event again that is sent a second time."""
    clock_skew_s: float = Field(default=60.0, ge=0, le=3600)
    """Seconds by which the senders' clocks may be ahead of this one."""
    reload_s: float = Field(default=15.0, ge=1, le=3600)
    """Seconds between two looks at the keys."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.keys_file is not None and self.keys_secret is not None:
            raise ValueError("keys_file and keys_secret are two places for the same keys: give one")
        if self.required and not self.has_keys:
            raise ValueError("required needs keys_file or keys_secret: without keys nothing could be believed")
        return self

    @property
    def has_keys(self) -> bool:
        """Whether there is anything to verify with."""
        return self.keys_file is not None or self.keys_secret is not None
