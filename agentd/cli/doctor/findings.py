"""What the doctor finds: one line a thing looked at, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a thing is. The worst comes last."""

    OK = "ok"
    SKIPPED = "skipped"
    """It could not be looked at, or this installation does without it; the finding says which."""
    WARNING = "warning"
    """The agent works, less well or less safely than it could."""
    FAILED = "failed"
    """The agent cannot do its job, or not all of it."""


class Area(StrEnum):
    """What belongs together: the first part of a finding's name, and what `--only` takes."""

    SETTINGS = "settings"
    HANDLERS = "handlers"
    AWS = "aws"
    CLOCK = "clock"
    QUEUES = "queues"
    LEDGER = "ledger"
    REGISTRY = "registry"
    ARTIFACTS = "artifacts"
    AUDIT = "audit"
    PERMISSIONS = "permissions"
    CLUSTER = "cluster"
    IDENTITIES = "identities"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names the thing, as in `queues.commands.redrive`, the same in every run. What is not ok says how to mend it."""

    check: str
    status: Status
    found: str
    mend: str = ""

    def __post_init__(self) -> None:
        if (self.status is Status.OK) == bool(self.mend):
            raise ValueError(f"{self.check}: {self.status.value} with mend {self.mend!r}")

    @property
    def area(self) -> Area:
        """Where it belongs."""
        return Area(self.check.partition(".")[0])


def ok(check: str, found: str) -> Finding:
    """As it should be."""
    return Finding(check, Status.OK, found)


def warned(check: str, found: str, mend: str) -> Finding:
    """Works, but could be better."""
    return Finding(check, Status.WARNING, found, mend)


def failed(check: str, found: str, mend: str) -> Finding:
    """Does not work."""
    return Finding(check, Status.FAILED, found, mend)


def skipped(check: str, found: str, mend: str) -> Finding:
    """Was not looked at. `mend` says what to do to have it looked at."""
    return Finding(check, Status.SKIPPED, found, mend)
