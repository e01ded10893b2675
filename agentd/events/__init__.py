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
from agentd.events.reports import ReportType, report_id

__all__ = [
    "CATALOGUE",
    "Audience",
    "BuildCleanup",
    "DataRef",
    "Envelope",
    "Event",
    "EventData",
    "Malformed",
    "PackageCreate",
    "PackageDelete",
    "ProjectCreate",
    "ProjectDelete",
    "ReportType",
    "Retention",
    "UnknownType",
    "attach",
    "decode",
    "encode",
    "report_id",
]
