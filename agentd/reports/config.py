"""Settings of the reports."""

from pathlib import Path

from pydantic import Field

from agentd.core import Config


class ReportsConfig(Config):
    """How outcomes, progress and heartbeats go out."""

    signing_key_file: Path | None = None
    """File with the private key that reports are signed with, as `agentd keys new` writes it; looked at again without a
    restart. Reports are not signed when not given."""
    outbox_limit: int = Field(default=1000, ge=1)
    """Reports that may wait to be sent; at this number intake pauses until half of them are gone."""
    batch: int = Field(default=10, ge=1, le=10)
    """Reports per send; SQS takes ten."""
    sweep_interval_s: float = Field(default=5.0, gt=0)
    """Seconds between looks into the outbox for reports that a stopped replica has left behind."""
    left_behind_s: float = Field(default=15.0, ge=0)
    """Age in seconds from which a waiting report counts as left behind; younger ones are their own replica's business."""
    retry_base_s: float = Field(default=0.5, gt=0)
    """Ceiling in seconds of the first pause after a failed send; doubles from there, with full jitter."""
    retry_cap_s: float = Field(default=30.0, gt=0)
    """Longest pause in seconds between two tries to send."""
    heartbeat_interval_s: float = Field(default=30.0, gt=0)
    """Seconds between two heartbeats."""
    progress_interval_s: float = Field(default=1.0, gt=0)
    """Shortest time in seconds between two sends of progress; of each event only the newest goes out."""
