"""Settings of the audit log."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from agentd.core import Config

_PREFIX = r"^[^/].*[^/]$|^[^/]$"


class AuditConfig(Config):
    """The customer's own record of everything that the agent did: on disk, and if wanted in an object store."""

    enabled: bool = True
    """Whether there is one. Without it nobody can show afterwards who did what; with it nothing is written to the cluster or
    the cloud before the log has it on disk."""
    directory: Path | None = None
    """Its folder, made (mode 0700) if it is missing; `audit` beside the ledger's file when not given, on the same volume."""
    segment_bytes: int = Field(default=8 * 2**20, ge=4096, le=64 * 2**20)
    """Size at which a file is closed and the next one begun: read in a fraction of a second, sent in one call."""
    segment_age_s: float = Field(default=86400.0, ge=1)
    """Seconds after a file's first entry at which it is closed in any case."""
    bucket: str | None = None
    """S3 bucket for copies. Give it Object Lock and let the agent's identity do no more than `s3:PutObject` and
    `s3:GetObject` in it: then nobody on the agent's host can change what has been sent."""
    prefix: Annotated[str, StringConstraints(pattern=_PREFIX, max_length=200)] = "audit"
    """Keys are below it: prefix/tenant/cluster/replica/number.jsonl."""
    copy_directory: Path | None = None
    """Folder for copies in place of a bucket, such as a volume of another host."""
    upload_interval_s: float = Field(default=60.0, ge=1, le=86400)
    """With a place for copies: seconds after its first entry at which a file is closed and sent."""
    transfer_timeout_s: float = Field(default=30.0, gt=0, le=600)
    """The longest that one transfer may take, in seconds."""
    keep_s: float = Field(default=30 * 86400.0, ge=0)
    """Seconds that a file stays on disk once its copy is safe. Without a place for copies nothing is ever removed."""
    queue_limit: int = Field(default=10_000, ge=100, le=1_000_000)
    """Entries that may wait for the disk; beyond that the agent takes up nothing new. A few megabytes."""
    write_timeout_s: float = Field(default=10.0, ge=0.1, le=600)
    """Seconds after which who waits for the disk is told that the log is unavailable; well below a lease."""
    signing_key_file: Path | None = None
    """Ed25519 private key with which the end of every file is signed: as `agentd keys new` writes it, or PEM. Who can write
    the files but not read the key can then not forge a closed one."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.bucket is not None and self.copy_directory is not None:
            raise ValueError("set bucket or copy_directory, not both")
        return self

    @property
    def copies(self) -> bool:
        """Whether there is a place for copies."""
        return self.bucket is not None or self.copy_directory is not None

    @property
    def longest_segment_s(self) -> float:
        """Seconds after its first entry at which a segment is closed."""
        return min(self.segment_age_s, self.upload_interval_s) if self.copies else self.segment_age_s

    def folder(self, ledger: Path) -> Path:
        """Where the log is kept, given the ledger's file."""
        return self.directory if self.directory is not None else ledger.parent / "audit"
