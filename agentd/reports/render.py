"""From records to outgoing CloudEvents. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic_core import to_json

from agentd.core import Outcome
from agentd.events import Audience, Event, Sign, leave_unsigned, parse, report_id
from agentd.events.reports import (
    DriftReport,
    Heartbeat,
    ProgressReport,
    ReportEnvelope,
    ReportType,
    StateReport,
    moment,
    sequence_text,
)
from agentd.ledger import Claimed, Record
from agentd.reports.outbound import Message

_SIGNS_OF_A_TRACE = ('"trace', "\\u")  # an attribute's name may be spelt with escapes


@dataclass(frozen=True, slots=True)
class Identity:
    """Who reports."""

    source: str
    audience: Audience
    owner_id: str
    replica: str
    version: str
    sign: Sign = leave_unsigned


@dataclass(frozen=True, slots=True)
class Progress:
    """The newest step of a running event."""

    event: Event
    claimed: Claimed
    order: int
    step: str
    step_number: int
    steps: int
    message: str


def outcome_message(identity: Identity, record: Record) -> Message:
    """The report of a finished record. ValueError when it is not finished.

    It is written as `ReportEnvelope` and `OutcomeReport` say, but not through them: to check what the agent itself has written
    down costs more than all the rest of a report.
    """
    outcome = record.outcome
    if outcome is None or record.finished_at is None or record.sequence is None:
        raise ValueError(f"{record.key} is not finished")
    # A message that was not even verified may claim any type and subject; its report is filed under the message's own.
    trusted = record.key.startswith("event/") and record.type is not None
    subject = record.subject if trusted else record.key
    event = {
        "specversion": "1.0",
        "id": report_id(record.key, record.epoch),
        "source": identity.source,
        "type": ReportType.of(record.type) if trusted and record.type else ReportType.MESSAGE_REJECTED,
        "subject": subject,
        "time": moment(record.finished_at),
        "datacontenttype": "application/json",
        "tenantid": identity.audience.tenant_id,
        "clusterid": identity.audience.cluster_id,
        "sequence": sequence_text(record.sequence),
        **_trace(record.event if trusted else None),
        "data": _outcome_data(identity, record, outcome),
    }
    return Message(id=str(event["id"]), group=subject, body=identity.sign(to_json(event).decode()))


def _outcome_data(identity: Identity, record: Record, outcome: Outcome) -> Mapping[str, object]:
    return {
        "key": record.key,
        "event_id": record.event_id,
        "event_type": record.type,
        "subject": record.subject or None,
        "generation": record.generation,
        "digest": record.digest,
        "epoch": record.epoch,
        "sequence": record.sequence,
        "outcome": outcome.kind,
        "changed": record.changed,
        "reason": outcome.reason,
        "help": outcome.reason.help if outcome.reason else None,
        "message": outcome.message,
        "step": outcome.step,
        "result": outcome.result,
        "attempts": record.attempts,
        "timings": {
            "admitted_at": moment(record.admitted_at),
            "started_at": None if record.started_at is None else moment(record.started_at),
            "finished_at": None if record.finished_at is None else moment(record.finished_at),
        },
        "objects": record.objects,
        "tenant_id": identity.audience.tenant_id,
        "cluster_id": identity.audience.cluster_id,
        "agent_version": identity.version,
    }


def progress_message(identity: Identity, progress: Progress, *, new_id: str, now: float) -> Message:
    """How far a running event is."""
    envelope, claimed = progress.event.envelope, progress.claimed
    report = ProgressReport(
        event_id=envelope.id,
        event_type=envelope.type,
        subject=envelope.subject,
        generation=envelope.generation,
        epoch=claimed.claim.epoch,
        attempt=claimed.attempt,
        sequence=claimed.sequence,
        number=progress.order,
        step=progress.step,
        step_number=progress.step_number,
        steps=progress.steps,
        message=progress.message,
        tenant_id=identity.audience.tenant_id,
        cluster_id=identity.audience.cluster_id,
        agent_version=identity.version,
    )
    outgoing = ReportEnvelope(
        id=new_id,
        source=identity.source,
        type=ReportType.PROGRESS,
        subject=envelope.subject,
        time=moment(now),
        tenantid=identity.audience.tenant_id,
        clusterid=identity.audience.cluster_id,
        sequence=sequence_text(claimed.sequence),
        traceparent=envelope.traceparent,
        tracestate=envelope.tracestate,
    )
    return _message(identity, outgoing, report, group=envelope.subject)


def heartbeat_message(identity: Identity, heartbeat: Heartbeat, *, new_id: str, now: float) -> Message:
    """A sign of life."""
    return _notice(identity, ReportType.HEARTBEAT, f"agent/{identity.replica}", heartbeat, new_id=new_id, now=now)


def drift_message(identity: Identity, report: DriftReport, *, new_id: str, now: float) -> Message:
    """What has drifted of a subject."""
    sequence = sequence_text(report.sequence)
    return _notice(identity, ReportType.DRIFT, report.subject, report, new_id=new_id, now=now, sequence=sequence)


def state_message(
    identity: Identity, report_type: ReportType, report: StateReport, *, new_id: str, now: float
) -> Message:
    """What a subject is like at this moment."""
    sequence = sequence_text(report.sequence)
    return _notice(identity, report_type, report.subject, report, new_id=new_id, now=now, sequence=sequence)


def _notice(
    identity: Identity,
    report_type: ReportType,
    subject: str,
    data: BaseModel,
    *,
    new_id: str,
    now: float,
    sequence: str | None = None,
) -> Message:
    """What no event has asked for."""
    envelope = ReportEnvelope(
        id=new_id,
        source=identity.source,
        type=report_type,
        subject=subject,
        time=moment(now),
        tenantid=identity.audience.tenant_id,
        clusterid=identity.audience.cluster_id,
        sequence=sequence,
    )
    return _message(identity, envelope, data, group=subject)


def _trace(event_text: str | None) -> Mapping[str, str]:
    # Nearly all have none, and reading an event for that costs as much as writing its report.
    if event_text is None or not any(sign in event_text for sign in _SIGNS_OF_A_TRACE):
        return {}
    # It was decoded when it came: what is there is valid.
    event = parse(event_text)
    return {name: event[name] for name in ("traceparent", "tracestate") if event.get(name) is not None}


def _message(identity: Identity, envelope: ReportEnvelope, data: BaseModel, *, group: str) -> Message:
    attributes = envelope.model_dump_json(exclude_none=True).removesuffix("}")
    return Message(id=envelope.id, group=group, body=identity.sign(f'{attributes},"data":{data.model_dump_json()}}}'))
