"""The envelope and the catalogue of typed events."""

from agentd.events.catalogue import (
    CATALOGUE,
    BuildCleanup,
    EventData,
    PackageCreate,
    PackageDelete,
    ProjectCreate,
    ProjectDelete,
    Retention,
)
from agentd.events.codec import Audience, Event, Malformed, UnknownType, attach, decode, encode
from agentd.events.envelope import DataRef, Envelope
from agentd.events.reports import (
    Heartbeat,
    OutcomeReport,
    ProgressReport,
    QueueState,
    ReportEnvelope,
    ReportType,
    Timings,
    WaitingWork,
    moment,
    report_id,
    sequence_text,
)
from agentd.events.signatures import Verify, accept_unsigned

__all__ = [
    "CATALOGUE",
    "Audience",
    "BuildCleanup",
    "DataRef",
    "Envelope",
    "Event",
    "EventData",
    "Heartbeat",
    "Malformed",
    "OutcomeReport",
    "PackageCreate",
    "PackageDelete",
    "ProgressReport",
    "ProjectCreate",
    "ProjectDelete",
    "QueueState",
    "ReportEnvelope",
    "ReportType",
    "Retention",
    "Timings",
    "UnknownType",
    "Verify",
    "WaitingWork",
    "accept_unsigned",
    "attach",
    "decode",
    "encode",
    "moment",
    "report_id",
    "sequence_text",
]
