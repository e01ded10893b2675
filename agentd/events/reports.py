"""What goes out to the control plane: names, ids, envelope and data of reports, progress and heartbeats.

Readers drop a report whose id they have seen, and one whose sequence is not above the last one of its subject. States count
apart: theirs are compared with those of states of the same type and subject.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha1
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from agentd.core import Action, DriftState, OutcomeKind, Reason
from agentd.events.envelope import MAX_SAFE_INTEGER

# Random, fixed for ever: report ids of one event and epoch are the same whoever derives them.
_REPORTS = UUID("8f0f5b0e-6f0c-4d5c-9a43-0c7f5b7f3a10").bytes
# Digits of MAX_SAFE_INTEGER: sequences of this width sort as text the way they count.
_SEQUENCE_DIGITS = 16

Count = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
Ordinal = Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ReportType(StrEnum):
    """Types of outgoing CloudEvents that do not follow an event's own type."""

    PROGRESS = "conveyor.progress.v1"
    HEARTBEAT = "conveyor.agent.heartbeat.v1"
    DRIFT = "conveyor.drift.v1"
    MESSAGE_REJECTED = "conveyor.report.message.rejected.v1"
    ENVIRONMENT_STATE = "conveyor.state.environment.v1"
    NODE_STATE = "conveyor.state.node.v1"
    POD_STATE = "conveyor.state.pod.v1"

    @staticmethod
    def of(event_type: str) -> str:
        """`conveyor.project.create.v1` is reported as `conveyor.report.project.create.v1`."""
        return event_type.replace("conveyor.", "conveyor.report.", 1)


@lru_cache(maxsize=1024)
def report_id(key: str, epoch: int) -> str:
    """The report's id: derived from the ledger's key of the event and its epoch, so that receivers can drop duplicates.

    A UUID of version 5 (RFC 9562), spelt out here as one is needed for every event.
    """
    octets = bytearray(sha1(_REPORTS + f"{key}#{epoch}".encode(), usedforsecurity=False).digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x50
    octets[8] = octets[8] & 0x3F | 0x80
    text = octets.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def sequence_text(sequence: int) -> str:
    """The `sequence` attribute: padded with zeros, because CloudEvents wants it to sort as text."""
    return f"{sequence:0{_SEQUENCE_DIGITS}d}"


def moment(seconds: float) -> datetime:
    """A time from seconds since the epoch, as the models below take it."""
    return datetime.fromtimestamp(seconds, UTC)


class _Outgoing(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ReportEnvelope(_Outgoing):
    """Everything of an outgoing CloudEvent but its data. Attributes that are None are left out on the wire."""

    specversion: Literal["1.0"] = "1.0"
    """The CloudEvents version."""
    id: str = Field(min_length=1)
    """Unique per source. Of a report: derived from event and epoch, so that it is the same however often it is sent."""
    source: str = Field(min_length=1)
    """URI of the agent that reports."""
    type: str = Field(min_length=1)
    """What is reported."""
    subject: str | None = Field(default=None, min_length=1)
    """The subject of the event that is reported on; absent when the message did not say."""
    time: AwareDatetime
    """When it happened (RFC 3339): of a report, when the outcome was written down."""
    datacontenttype: Literal["application/json"] = "application/json"
    """The media type of `data`."""
    dataschema: str | None = None
    """URI of the JSON Schema of the whole report."""
    tenantid: str
    """The agent's tenant."""
    clusterid: str
    """The agent's cluster."""
    sequence: str | None = Field(default=None, pattern=rf"^[0-9]{{{_SEQUENCE_DIGITS}}}$")
    """CloudEvents extension: order within the subject, as text that sorts; the same number as in `data`."""
    traceparent: str | None = None
    """W3C trace context: the trace of the event goes on here."""
    tracestate: str | None = None
    """W3C trace context: the vendors' part."""
    signature: str | None = None
    """Detached JWS (EdDSA) over the canonical report, when the agent has a key to sign with."""


class Timings(_Outgoing):
    """When what happened (RFC 3339). Absent: it did not come to that."""

    admitted_at: AwareDatetime | None = None
    """The event was written down for the first time."""
    started_at: AwareDatetime | None = None
    """The first attempt of this epoch began."""
    finished_at: AwareDatetime | None = None
    """The outcome was written down."""


class OutcomeReport(_Outgoing):
    """How an event ended: full state, never a delta. Sent at least once per event and epoch."""

    key: str
    """The ledger's key: `event/<id>`, or `message/<transport id>` of a message that could not be trusted."""
    event_id: str | None
    """The event's id; null when the message did not say."""
    event_type: str | None
    """The event's type; null when the message did not say."""
    subject: str | None
    """The event's subject; null when the message did not say."""
    generation: int | None
    """The event's generation; null when the message did not say."""
    digest: str | None = None
    """Digest of the event as the agent read it."""
    epoch: Ordinal
    """1, and one more with each redrive."""
    sequence: Ordinal
    """Grows with every report of the subject: drop one that is not above the last."""
    outcome: OutcomeKind
    """The end of the event."""
    changed: bool
    """Whether any attempt had to do something."""
    reason: Reason | None = None
    """Why, from a closed set; null on success."""
    help: str | None = None
    """What to do about the reason."""
    message: str = ""
    """For people: names the object, what was found and what is allowed."""
    step: str | None = None
    """The step that failed."""
    result: Any = None
    """What the event asked for: of one with `data.plan` the plan, `{"hash", "changes": [{"object", "action", "fields"}]}`."""
    attempts: Count
    """Attempts that this epoch took."""
    timings: Timings
    """When what happened."""
    objects: tuple[str, ...] = ()
    """What the event wrote to, for example `ecr:repository/team/app`."""
    tenant_id: str
    """The agent's tenant."""
    cluster_id: str
    """The agent's cluster."""
    agent_version: str
    """Version of the agent that ended the event."""


class ProgressReport(_Outgoing):
    """How far a running event is. Sent at most once; silence means nothing."""

    event_id: str
    """The event's id."""
    event_type: str
    """The event's type."""
    subject: str
    """The event's subject."""
    generation: int
    """The event's generation."""
    epoch: Ordinal
    """1, and one more with each redrive."""
    attempt: Ordinal
    """Counted from 1 in this epoch."""
    sequence: Ordinal
    """One of the subject's counter, for all progress of this attempt."""
    number: Ordinal
    """Order of the progress reports within the attempt."""
    step: str
    """The step that runs."""
    step_number: Ordinal
    """Its place among the steps, counted from 1."""
    steps: Ordinal
    """How many steps there are."""
    message: str = ""
    """For people."""
    tenant_id: str
    """The agent's tenant."""
    cluster_id: str
    """The agent's cluster."""
    agent_version: str
    """Version of the agent that works on it."""


class DriftAuthor(_Outgoing):
    """Somebody beside the agent who has written what differs, as the API server has it."""

    manager: str
    """The field manager."""
    at: str
    """When that one last wrote (RFC 3339)."""
    fields: tuple[str, ...] = ()
    """Which of the fields that differ; none when it was only the last to write to the object."""


class DriftField(_Outgoing):
    """One field that differs. Values of secrets are never told."""

    path: str
    """The field, for example `spec.replicas`."""
    found: Any
    """What is there; null: nothing."""
    wanted: Any
    """What is desired; null: nothing."""


class DriftChange(_Outgoing):
    """What it takes to bring one object back."""

    object: str
    """The object, named as in reports of events."""
    action: Action
    """What has to become of it."""
    fields: tuple[DriftField, ...] = ()
    """Field by field; none of what is to be deleted."""
    made_by: tuple[DriftAuthor, ...] = ()
    """Who has made it so, where an API tells."""


class DriftReport(_Outgoing):
    """How the world of a subject differs from what is desired of it: the whole picture each time it has changed."""

    subject: str
    """The subject."""
    generation: int
    """The newest generation that has been claimed of it."""
    sequence: Ordinal
    """Grows with every report of the subject: drop one that is not above the last."""
    state: DriftState
    """What the comparison came to; `in_sync` ends what was told before."""
    since: AwareDatetime | None = None
    """When it was first found so (RFC 3339); null when all is well."""
    checked_at: AwareDatetime
    """When it was compared (RFC 3339)."""
    planhash: str
    """The hash of the plan that would bring the subject back."""
    changes: tuple[DriftChange, ...] = ()
    """What it takes, object by object; of very many the first."""
    changes_total: Count = 0
    """How many objects differ."""
    reason: Reason | None = None
    """Why what is desired cannot be brought about, from a closed set."""
    problem: str = ""
    """The same for people, or which event has left it unfinished."""
    repair: str
    """What the agent does about it: none, not_allowed, asked, paused or given_up."""
    repairs: Count = 0
    """Repairs of the subject that were asked for of late."""
    repair_event_id: str | None = None
    """The event that brings it back, when this report goes with one."""
    tenant_id: str
    """The agent's tenant."""
    cluster_id: str
    """The agent's cluster."""
    agent_version: str
    """Version of the agent that has compared it."""


class QueueState(_Outgoing):
    """One queue as the agent sees it. Counts are the queue's own and approximate; null: it did not answer."""

    queue: str
    """commands, dead-letters or reports."""
    visible: Count | None = None
    """Messages that it could hand out."""
    in_flight: Count | None = None
    """Messages that are handed out and not yet deleted."""
    delayed: Count | None = None
    """Messages that it holds back."""
    oldest_received_age_s: Seconds | None = None
    """Age, since it was sent, of the oldest message that this replica holds."""


class WaitingWork(_Outgoing):
    """Events that this replica holds and cannot go on with, for one reason."""

    why: str
    """What they wait for, from a closed set."""
    count: Count
    """How many."""
    oldest_age_s: Seconds | None = None
    """How long the longest of them has waited."""
    example: str | None = None
    """One of them, as `<event id>: <message>`."""


class Heartbeat(_Outgoing):
    """A replica's regular sign of life: what it is, and what it is busy with."""

    replica: str
    """The replica's id, unique per process."""
    agent_version: str
    """The agent's version."""
    tenant_id: str
    """The agent's tenant."""
    cluster_id: str
    """The agent's cluster."""
    owner_id: str
    """What marks objects as this agent's own."""
    number: Ordinal
    """Counts the heartbeats of this process."""
    started_at: AwareDatetime
    """When the process began."""
    interval_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Seconds to the next heartbeat."""
    draining: bool = False
    """The replica is on its way out, and takes nothing more."""
    queues: tuple[QueueState, ...] = ()
    """The queues."""
    oldest_work_age_s: Seconds | None = None
    """Age of the oldest event admitted and not yet ended, over all replicas; null when there is none."""
    open_events: Count | None = None
    """Events admitted and not yet ended, over all replicas."""
    outbox: Count | None = None
    """Reports that wait to be sent, over all replicas."""
    held: dict[str, Count] = Field(default_factory=dict)
    """Messages that this replica holds, by phase: buffered, running, reporting, deleting."""
    waiting: tuple[WaitingWork, ...] = ()
    """What waits and why."""
    paused: tuple[str, ...] = ()
    """Why nothing is received at the moment; empty when something is."""
    warnings: tuple[str, ...] = ()
    """What somebody on the customer's side should look at: a pause, a budget used up, a document that cannot be used."""
    ailments: tuple[str, ...] = ()
    """Why the replica is not live; empty when it is."""
    audit_head: str | None = None
    """The last durable entry of the replica's audit log, CHAIN:SEQ:HASH: `agentd audit verify --head` finds out if it is gone."""
    event_types: tuple[str, ...] = ()
    """The types that this agent can carry out."""


class StateReport(_Outgoing):
    """What every state says beside its content: told whole whenever it changes, at least once, and again from time to time."""

    subject: str
    """What it is the state of, as kind/id."""
    sequence: Ordinal
    """Grows with every state of this type and subject: drop one that is not above the last."""
    gone: bool = False
    """The subject is not there any more, or not in this state any more; there is then no content."""
    again_within_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Seconds within which it is told again, changed or not: one that is overdue by far has gone."""
    tenant_id: str
    """The agent's tenant."""
    cluster_id: str
    """The agent's cluster."""
    agent_version: str
    """Version of the agent that tells it."""


class WorkloadState(_Outgoing):
    """Something that runs in an environment."""

    kind: str
    """deployment or statefulset."""
    name: str
    """Its name in the environment's namespace."""
    wanted: Count
    """Replicas that it should have."""
    ready: Count
    """Replicas that are ready."""
    reason: str = ""
    """Why there are fewer, in its controller's word; its pods say more."""
    message: str = ""
    """The same in the controller's words."""


class DeployedState(_Outgoing):
    """A project that is deployed in an environment."""

    id: str
    """The project's id."""
    name: str
    """The project's name."""
    build_id: str
    """The build."""
    digest: str | None = None
    """Digest of the build's image."""


class Environment(_Outgoing):
    """What an environment is at the moment."""

    name: str
    """Its name, which is that of its namespace."""
    phase: Literal["active", "hibernated", "deleting"]
    """What it is in by its own will."""
    generation: int | None
    """The newest generation that has claimed it."""
    airflow_version: str | None = None
    """The version of its Airflow."""
    ready: bool
    """Everything in it has as many ready replicas as wanted."""
    message: str = ""
    """What a delete waits for."""
    workloads: tuple[WorkloadState, ...] = ()
    """What runs in it."""
    projects: tuple[DeployedState, ...] = ()
    """What is deployed in it."""


class Pod(_Outgoing):
    """A pod of an environment that something is wrong with."""

    environment_id: str
    """Of the environment."""
    namespace: str
    """The environment's name."""
    name: str
    """The pod's name."""
    component: str | None = None
    """What it does, as its label says."""
    phase: str
    """The pod's phase, as Kubernetes has it."""
    node: str | None = None
    """Where it runs."""
    reason: Reason
    """What is in its way, from the closed set."""
    help: str
    """What to do about the reason."""
    message: str
    """What was found: the container, its exit code and last words, an answer of the registry or the scheduler."""
    passing: bool
    """It may go by itself."""
    restarts: Count
    """How often its containers have been started again."""


class Node(_Outgoing):
    """What a machine of the cluster is at the moment."""

    name: str
    """Its name."""
    ready: bool
    """Its kubelet says that it is."""
    schedulable: bool
    """It takes new pods."""
    pressures: tuple[str, ...] = ()
    """Conditions that are not as they should be, such as MemoryPressure."""
    capacity: dict[str, str] = Field(default_factory=dict)
    """What it has: cpu, memory, pods, ..., as Kubernetes writes amounts."""
    allocatable: dict[str, str] = Field(default_factory=dict)
    """What pods may have of it."""
    instance_type: str | None = None
    """The cloud's type of machine."""
    zone: str | None = None
    """The cloud's zone."""
    spot: bool
    """The cloud may take it back."""
    leaving: tuple[str, ...] = ()
    """Taints that say that it is about to go, such as an interruption of a spot instance."""


class EnvironmentState(StateReport):
    """The state of an environment: phase, what is deployed, what runs and what does not."""

    state: Environment | None = None
    """Null when it is gone."""


class PodState(StateReport):
    """A pod of an environment that is in trouble, and why; gone once it is well, or deleted."""

    state: Pod | None = None
    """Null when it is gone."""


class NodeState(StateReport):
    """The state of a node of the cluster."""

    state: Node | None = None
    """Null when it is gone."""


STATES: Mapping[str, tuple[ReportType, type[StateReport]]] = {
    "environment": (ReportType.ENVIRONMENT_STATE, EnvironmentState),
    "node": (ReportType.NODE_STATE, NodeState),
    "pod": (ReportType.POD_STATE, PodState),
}
"""Type and data of each kind of state."""
