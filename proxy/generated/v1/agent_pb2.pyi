import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_STATE_UNSPECIFIED: _ClassVar[EventState]
    EVENT_STATE_OPEN: _ClassVar[EventState]
    EVENT_STATE_FINISHED: _ClassVar[EventState]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_SUCCEEDED: _ClassVar[Outcome]
    OUTCOME_FAILED: _ClassVar[Outcome]
    OUTCOME_REJECTED: _ClassVar[Outcome]
    OUTCOME_SUPERSEDED: _ClassVar[Outcome]
EVENT_STATE_UNSPECIFIED: EventState
EVENT_STATE_OPEN: EventState
EVENT_STATE_FINISHED: EventState
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_SUCCEEDED: Outcome
OUTCOME_FAILED: Outcome
OUTCOME_REJECTED: Outcome
OUTCOME_SUPERSEDED: Outcome

class GetVersionRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetVersionResponse(_message.Message):
    __slots__ = ("version", "replica", "tenant_id", "cluster_id", "owner_id", "event_types")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPES_FIELD_NUMBER: _ClassVar[int]
    version: str
    replica: str
    tenant_id: str
    cluster_id: str
    owner_id: str
    event_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., replica: _Optional[str] = ..., tenant_id: _Optional[str] = ..., cluster_id: _Optional[str] = ..., owner_id: _Optional[str] = ..., event_types: _Optional[_Iterable[str]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "replica", "uptime", "draining", "paused_reasons", "held", "work", "loops", "ledger", "ailments", "oldest_held", "oldest_running")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    PAUSED_REASONS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    LOOPS_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    AILMENTS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_HELD_FIELD_NUMBER: _ClassVar[int]
    OLDEST_RUNNING_FIELD_NUMBER: _ClassVar[int]
    version: str
    replica: str
    uptime: _duration_pb2.Duration
    draining: bool
    paused_reasons: _containers.RepeatedScalarFieldContainer[str]
    held: HeldMessages
    work: _containers.RepeatedCompositeFieldContainer[WorkItem]
    loops: _containers.RepeatedCompositeFieldContainer[Loop]
    ledger: LedgerCounts
    ailments: _containers.RepeatedScalarFieldContainer[str]
    oldest_held: HeldMessage
    oldest_running: WorkItem
    def __init__(self, version: _Optional[str] = ..., replica: _Optional[str] = ..., uptime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., draining: _Optional[bool] = ..., paused_reasons: _Optional[_Iterable[str]] = ..., held: _Optional[_Union[HeldMessages, _Mapping]] = ..., work: _Optional[_Iterable[_Union[WorkItem, _Mapping]]] = ..., loops: _Optional[_Iterable[_Union[Loop, _Mapping]]] = ..., ledger: _Optional[_Union[LedgerCounts, _Mapping]] = ..., ailments: _Optional[_Iterable[str]] = ..., oldest_held: _Optional[_Union[HeldMessage, _Mapping]] = ..., oldest_running: _Optional[_Union[WorkItem, _Mapping]] = ...) -> None: ...

class HeldMessage(_message.Message):
    __slots__ = ("message_id", "phase", "held")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    phase: str
    held: _duration_pb2.Duration
    def __init__(self, message_id: _Optional[str] = ..., phase: _Optional[str] = ..., held: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class HeldMessages(_message.Message):
    __slots__ = ("buffered", "running", "reporting", "deleting")
    BUFFERED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    REPORTING_FIELD_NUMBER: _ClassVar[int]
    DELETING_FIELD_NUMBER: _ClassVar[int]
    buffered: int
    running: int
    reporting: int
    deleting: int
    def __init__(self, buffered: _Optional[int] = ..., running: _Optional[int] = ..., reporting: _Optional[int] = ..., deleting: _Optional[int] = ...) -> None: ...

class WorkItem(_message.Message):
    __slots__ = ("event_id", "type", "subject", "generation", "running", "step")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    type: str
    subject: str
    generation: int
    running: _duration_pb2.Duration
    step: str
    def __init__(self, event_id: _Optional[str] = ..., type: _Optional[str] = ..., subject: _Optional[str] = ..., generation: _Optional[int] = ..., running: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., step: _Optional[str] = ...) -> None: ...

class Loop(_message.Message):
    __slots__ = ("name", "progress_age", "success_age", "late", "doing")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_AGE_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_AGE_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    name: str
    progress_age: _duration_pb2.Duration
    success_age: _duration_pb2.Duration
    late: bool
    doing: str
    def __init__(self, name: _Optional[str] = ..., progress_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., success_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., late: _Optional[bool] = ..., doing: _Optional[str] = ...) -> None: ...

class LedgerCounts(_message.Message):
    __slots__ = ("open_events", "finished_events", "outbox", "leases", "subjects", "tombstones", "oldest_open_time", "waiting")
    class WaitingEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    OPEN_EVENTS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    open_events: int
    finished_events: int
    outbox: int
    leases: int
    subjects: int
    tombstones: int
    oldest_open_time: _timestamp_pb2.Timestamp
    waiting: _containers.ScalarMap[str, int]
    def __init__(self, open_events: _Optional[int] = ..., finished_events: _Optional[int] = ..., outbox: _Optional[int] = ..., leases: _Optional[int] = ..., subjects: _Optional[int] = ..., tombstones: _Optional[int] = ..., oldest_open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., waiting: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("events", "incomplete", "subjects", "notices", "origin")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[EventAccount]
    incomplete: bool
    subjects: _containers.RepeatedCompositeFieldContainer[SubjectAccount]
    notices: _containers.RepeatedCompositeFieldContainer[Notice]
    origin: Origin
    def __init__(self, events: _Optional[_Iterable[_Union[EventAccount, _Mapping]]] = ..., incomplete: _Optional[bool] = ..., subjects: _Optional[_Iterable[_Union[SubjectAccount, _Mapping]]] = ..., notices: _Optional[_Iterable[_Union[Notice, _Mapping]]] = ..., origin: _Optional[_Union[Origin, _Mapping]] = ...) -> None: ...

class Origin(_message.Message):
    __slots__ = ("path", "subject", "generation", "event_id", "trace_id")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    path: _containers.RepeatedScalarFieldContainer[str]
    subject: str
    generation: int
    event_id: str
    trace_id: str
    def __init__(self, path: _Optional[_Iterable[str]] = ..., subject: _Optional[str] = ..., generation: _Optional[int] = ..., event_id: _Optional[str] = ..., trace_id: _Optional[str] = ...) -> None: ...

class SubjectAccount(_message.Message):
    __slots__ = ("subject", "facets", "names", "tombstone", "held_by_key", "held_by_replica", "held_until")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    FACETS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONE_FIELD_NUMBER: _ClassVar[int]
    HELD_BY_KEY_FIELD_NUMBER: _ClassVar[int]
    HELD_BY_REPLICA_FIELD_NUMBER: _ClassVar[int]
    HELD_UNTIL_FIELD_NUMBER: _ClassVar[int]
    subject: str
    facets: _containers.RepeatedCompositeFieldContainer[Facet]
    names: _containers.RepeatedCompositeFieldContainer[ReservedName]
    tombstone: int
    held_by_key: str
    held_by_replica: str
    held_until: _timestamp_pb2.Timestamp
    def __init__(self, subject: _Optional[str] = ..., facets: _Optional[_Iterable[_Union[Facet, _Mapping]]] = ..., names: _Optional[_Iterable[_Union[ReservedName, _Mapping]]] = ..., tombstone: _Optional[int] = ..., held_by_key: _Optional[str] = ..., held_by_replica: _Optional[str] = ..., held_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Facet(_message.Message):
    __slots__ = ("name", "generation", "desired")
    NAME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    DESIRED_FIELD_NUMBER: _ClassVar[int]
    name: str
    generation: int
    desired: bool
    def __init__(self, name: _Optional[str] = ..., generation: _Optional[int] = ..., desired: _Optional[bool] = ...) -> None: ...

class ReservedName(_message.Message):
    __slots__ = ("kind", "name")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("hold", "message", "unblock")
    HOLD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    UNBLOCK_FIELD_NUMBER: _ClassVar[int]
    hold: str
    message: str
    unblock: str
    def __init__(self, hold: _Optional[str] = ..., message: _Optional[str] = ..., unblock: _Optional[str] = ...) -> None: ...

class EventAccount(_message.Message):
    __slots__ = ("key", "event_id", "type", "subject", "generation", "state", "epoch", "attempts", "changed", "verdict", "outcome", "reason", "reason_help", "message", "failing_step", "admit_time", "finish_time", "objects", "steps", "happenings", "hold", "unblock", "here", "trace_id")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REASON_HELP_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FAILING_STEP_FIELD_NUMBER: _ClassVar[int]
    ADMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    HAPPENINGS_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    UNBLOCK_FIELD_NUMBER: _ClassVar[int]
    HERE_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    key: str
    event_id: str
    type: str
    subject: str
    generation: int
    state: EventState
    epoch: int
    attempts: int
    changed: bool
    verdict: str
    outcome: Outcome
    reason: str
    reason_help: str
    message: str
    failing_step: str
    admit_time: _timestamp_pb2.Timestamp
    finish_time: _timestamp_pb2.Timestamp
    objects: _containers.RepeatedScalarFieldContainer[str]
    steps: _containers.RepeatedScalarFieldContainer[str]
    happenings: _containers.RepeatedCompositeFieldContainer[Happening]
    hold: str
    unblock: str
    here: Presence
    trace_id: str
    def __init__(self, key: _Optional[str] = ..., event_id: _Optional[str] = ..., type: _Optional[str] = ..., subject: _Optional[str] = ..., generation: _Optional[int] = ..., state: _Optional[_Union[EventState, str]] = ..., epoch: _Optional[int] = ..., attempts: _Optional[int] = ..., changed: _Optional[bool] = ..., verdict: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ..., reason_help: _Optional[str] = ..., message: _Optional[str] = ..., failing_step: _Optional[str] = ..., admit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., objects: _Optional[_Iterable[str]] = ..., steps: _Optional[_Iterable[str]] = ..., happenings: _Optional[_Iterable[_Union[Happening, _Mapping]]] = ..., hold: _Optional[str] = ..., unblock: _Optional[str] = ..., here: _Optional[_Union[Presence, _Mapping]] = ..., trace_id: _Optional[str] = ...) -> None: ...

class Presence(_message.Message):
    __slots__ = ("replica", "running", "step", "hold", "behind")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    replica: str
    running: _duration_pb2.Duration
    step: str
    hold: str
    behind: str
    def __init__(self, replica: _Optional[str] = ..., running: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., step: _Optional[str] = ..., hold: _Optional[str] = ..., behind: _Optional[str] = ...) -> None: ...

class Happening(_message.Message):
    __slots__ = ("time", "epoch", "what", "detail")
    TIME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    epoch: int
    what: str
    detail: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., epoch: _Optional[int] = ..., what: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters", "next_page_token", "incomplete")
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    next_page_token: str
    incomplete: bool
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., incomplete: _Optional[bool] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("message_id", "key", "epoch", "event_id", "type", "subject", "outcome", "reason", "message", "send_time")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SEND_TIME_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    key: str
    epoch: int
    event_id: str
    type: str
    subject: str
    outcome: Outcome
    reason: str
    message: str
    send_time: _timestamp_pb2.Timestamp
    def __init__(self, message_id: _Optional[str] = ..., key: _Optional[str] = ..., epoch: _Optional[int] = ..., event_id: _Optional[str] = ..., type: _Optional[str] = ..., subject: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., send_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RedriveRequest(_message.Message):
    __slots__ = ("event_ids", "all", "limit")
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    all: bool
    limit: int
    def __init__(self, event_ids: _Optional[_Iterable[str]] = ..., all: _Optional[bool] = ..., limit: _Optional[int] = ...) -> None: ...

class RedriveResponse(_message.Message):
    __slots__ = ("redriven_ids", "missing_ids", "looked_at")
    REDRIVEN_IDS_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    LOOKED_AT_FIELD_NUMBER: _ClassVar[int]
    redriven_ids: _containers.RepeatedScalarFieldContainer[str]
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    looked_at: int
    def __init__(self, redriven_ids: _Optional[_Iterable[str]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., looked_at: _Optional[int] = ...) -> None: ...
