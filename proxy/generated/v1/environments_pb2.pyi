import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnvironmentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENVIRONMENT_STATE_UNSPECIFIED: _ClassVar[EnvironmentState]
    ENVIRONMENT_STATE_ACTIVE: _ClassVar[EnvironmentState]
    ENVIRONMENT_STATE_HIBERNATED: _ClassVar[EnvironmentState]
    ENVIRONMENT_STATE_DELETING: _ClassVar[EnvironmentState]

class WatchKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WATCH_KIND_UNSPECIFIED: _ClassVar[WatchKind]
    WATCH_KIND_PRESENT: _ClassVar[WatchKind]
    WATCH_KIND_GONE: _ClassVar[WatchKind]
    WATCH_KIND_SYNCED: _ClassVar[WatchKind]
    WATCH_KIND_HEARTBEAT: _ClassVar[WatchKind]
ENVIRONMENT_STATE_UNSPECIFIED: EnvironmentState
ENVIRONMENT_STATE_ACTIVE: EnvironmentState
ENVIRONMENT_STATE_HIBERNATED: EnvironmentState
ENVIRONMENT_STATE_DELETING: EnvironmentState
WATCH_KIND_UNSPECIFIED: WatchKind
WATCH_KIND_PRESENT: WatchKind
WATCH_KIND_GONE: WatchKind
WATCH_KIND_SYNCED: WatchKind
WATCH_KIND_HEARTBEAT: WatchKind

class Environment(_message.Message):
    __slots__ = ("id", "name", "state", "generation", "labels", "airflow_version", "deletion_protected", "projects", "create_time", "message")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    AIRFLOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    DELETION_PROTECTED_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    state: EnvironmentState
    generation: int
    labels: _containers.ScalarMap[str, str]
    airflow_version: str
    deletion_protected: bool
    projects: _containers.RepeatedCompositeFieldContainer[DeployedProject]
    create_time: _timestamp_pb2.Timestamp
    message: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[EnvironmentState, str]] = ..., generation: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., airflow_version: _Optional[str] = ..., deletion_protected: _Optional[bool] = ..., projects: _Optional[_Iterable[_Union[DeployedProject, _Mapping]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class DeployedProject(_message.Message):
    __slots__ = ("id", "name", "build_id", "digest")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BUILD_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    build_id: str
    digest: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., build_id: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class EnvironmentsListRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class EnvironmentsListResponse(_message.Message):
    __slots__ = ("environments", "next_page_token")
    ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    environments: _containers.RepeatedCompositeFieldContainer[Environment]
    next_page_token: str
    def __init__(self, environments: _Optional[_Iterable[_Union[Environment, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class EnvironmentsGetRequest(_message.Message):
    __slots__ = ("environment_id",)
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    environment_id: str
    def __init__(self, environment_id: _Optional[str] = ...) -> None: ...

class EnvironmentsGetResponse(_message.Message):
    __slots__ = ("environment",)
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    environment: Environment
    def __init__(self, environment: _Optional[_Union[Environment, _Mapping]] = ...) -> None: ...

class EnvironmentsWatchRequest(_message.Message):
    __slots__ = ("environment_id", "resume_token")
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    environment_id: str
    resume_token: str
    def __init__(self, environment_id: _Optional[str] = ..., resume_token: _Optional[str] = ...) -> None: ...

class EnvironmentsWatchResponse(_message.Message):
    __slots__ = ("kind", "environment", "resume_token")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    kind: WatchKind
    environment: Environment
    resume_token: str
    def __init__(self, kind: _Optional[_Union[WatchKind, str]] = ..., environment: _Optional[_Union[Environment, _Mapping]] = ..., resume_token: _Optional[str] = ...) -> None: ...
