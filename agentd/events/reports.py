"""Names and ids of what goes out to the control plane."""

from enum import StrEnum
from uuid import UUID, uuid5

# Random, fixed for ever: report ids of one event and epoch are the same whoever derives them.
_REPORTS = UUID("8f0f5b0e-6f0c-4d5c-9a43-0c7f5b7f3a10")


class ReportType(StrEnum):
    """Types of outgoing CloudEvents that do not follow an event's own type."""

    PROGRESS = "conveyor.progress.v1"
    HEARTBEAT = "conveyor.agent.heartbeat.v1"
    MESSAGE_REJECTED = "conveyor.report.message.rejected.v1"

    @staticmethod
    def of(event_type: str) -> str:
        """`conveyor.project.create.v1` is reported as `conveyor.report.project.create.v1`."""
        return event_type.replace("conveyor.", "conveyor.report.", 1)


def report_id(key: str, epoch: int) -> str:
    """The report's id: derived from the ledger's key of the event and its epoch, so that receivers can drop duplicates."""
    return str(uuid5(_REPORTS, f"{key}#{epoch}"))
