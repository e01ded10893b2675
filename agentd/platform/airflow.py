"""The Airflow port: what one environment's Airflow is asked, and told, over its REST API (version 2, of Airflow 3)."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from agentd.core import Fence

T = TypeVar("T")
# What a DAG is run with; its shape is the DAG's own.
Conf = Mapping[str, Any]

# The Service of an environment's API server, in the environment's namespace.
AIRFLOW_SERVICE = "airflow"
AIRFLOW_PORT = 8080

UNFINISHED = ("running", "queued")
"""States of task instances that occupy something: a drain waits until there are none."""


@dataclass(frozen=True, slots=True)
class AirflowAddress:
    """Where one environment's Airflow is, and the secret that its tokens are signed with."""

    namespace: str
    prefix: str
    """Path of its base URL, such as `/environments/dev/airflow`; empty for none."""
    jwt_secret: str = field(repr=False)
    """The environment's own, of at least 64 bytes."""

    def __str__(self) -> str:
        """As logs, reports and errors name it: `airflow:dev`."""
        return f"airflow:{self.namespace}"


class Role(StrEnum):
    """What a caller may do. Source: Airflow's simple auth manager."""

    VIEWER = "viewer"
    """Reads."""
    USER = "user"
    """Pauses, triggers and clears too."""
    OP = "op"
    """Connections, variables and pools too."""
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf Airflow is called: the name that it notes beside a run, and what that caller may do."""

    name: str
    role: Role


AGENT = Caller("conveyor-agent", Role.USER)


@dataclass(frozen=True, slots=True)
class Component:
    """One part of an Airflow, as its API server sees it."""

    status: str | None
    heartbeat: datetime | None = None

    @property
    def healthy(self) -> bool:
        """Whether it is at work."""
        return self.status == "healthy"


@dataclass(frozen=True, slots=True)
class Health:
    """What an Airflow says of itself: `scheduler`, `triggerer`, `dag_processor` and `metadatabase`."""

    components: Mapping[str, Component]

    @property
    def unhealthy(self) -> tuple[str, ...]:
        """The components that are not at work."""
        return tuple(sorted(name for name, component in self.components.items() if not component.healthy))


@dataclass(frozen=True, slots=True)
class Dag:
    """A DAG as the DAG processor saw it last."""

    dag_id: str
    is_paused: bool
    is_stale: bool
    """Its file or its bundle has gone; only its history is left."""
    bundle_name: str | None
    relative_fileloc: str | None
    last_parsed_time: datetime | None
    has_import_errors: bool
    """Its file could not be imported lately; the DAG is what it was before that."""
    description: str | None = None
    timetable_summary: str | None = None
    next_dagrun_run_after: datetime | None = None
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """A file that the DAG processor cannot import. `filename` is relative to the bundle."""

    filename: str
    bundle_name: str | None
    timestamp: datetime
    stack_trace: str
    """The end of it, where it is long."""


class RunState(StrEnum):
    """What a run may be set to."""

    QUEUED = "queued"
    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DagRun:
    """One run of a DAG: queued, running, success or failed."""

    dag_id: str
    dag_run_id: str
    state: str
    run_type: str
    run_after: datetime
    queued_at: datetime | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    logical_date: datetime | None = None
    triggering_user_name: str | None = None
    """Name of the caller who triggered it."""
    conf: Conf | None = None
    note: str | None = None

    @property
    def finished(self) -> bool:
        """Whether it has ended."""
        return self.state in (RunState.SUCCESS, RunState.FAILED)


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """One task of one run. `state` is None before it is scheduled; `map_index` is -1 but for mapped tasks."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    max_tries: int
    start_date: datetime | None = None
    end_date: datetime | None = None
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list. The next page begins `len(items)` further on; Airflow may give fewer items than it is asked for."""

    items: tuple[T, ...]
    total: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a task's log. `error` is the traceback that belongs to it, as text."""

    event: str
    timestamp: datetime | None = None
    level: str | None = None
    logger: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some of a log. `position` is where the next page begins; `cut` says that there is more of it already."""

    lines: tuple[LogLine, ...]
    position: int
    cut: bool


class AirflowReader(ABC):
    """What may be asked of one environment's Airflow, as one caller.

    Every call has a time-out of its own and is repeated while the fault is passing. All raise NotReady while Airflow is not
    there yet, TransientError or PermanentError with the operation, the environment and what Airflow said otherwise, and
    PermanentError(invalid_request) for an id that can be none, such as `~`.
    """

    @abstractmethod
    async def health(self) -> Health:
        """How its components are, by what they say; the answer's status says nothing."""

    @abstractmethod
    async def version(self) -> str:
        """Airflow's own version, for example `3.3.2`."""

    @abstractmethod
    async def dags(self, *, bundle: str | None = None, stale: bool = False) -> Sequence[Dag]:
        """All DAGs by id, every page; of one bundle or of all; with those that are stale or without."""

    @abstractmethod
    async def dag(self, dag_id: str) -> Dag | None:
        """One DAG, stale or not, or None."""

    @abstractmethod
    async def import_failures(self, *, bundle: str | None = None) -> Sequence[ImportFailure]:
        """All files that cannot be imported, every page; of one bundle or of all.

        A helper that no DAG file imports is never looked at, nor is a file that mentions neither DAGs nor Airflow.
        """

    @abstractmethod
    async def dag_runs(
        self, *, dag_id: str | None = None, states: Sequence[str] = (), offset: int = 0, limit: int = 100
    ) -> Page[DagRun]:
        """Runs of one DAG or of all, in these states or in any, the newest first. Empty when there is no such DAG."""

    @abstractmethod
    async def dag_run(self, dag_id: str, run_id: str) -> DagRun | None:
        """One run, or None."""

    @abstractmethod
    async def task_instances(
        self,
        *,
        dag_id: str | None = None,
        run_id: str | None = None,
        states: Sequence[str] = (),
        offset: int = 0,
        limit: int = 100,
    ) -> Page[TaskInstance]:
        """Task instances of one run (with its DAG's id), of one DAG or of all, in these states or in any.

        Of one run in the order of their creation, else the newest first. Empty when there is no such run or DAG.
        """

    @abstractmethod
    async def task_instance(
        self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1
    ) -> TaskInstance | None:
        """One task of one run, or None."""

    @abstractmethod
    async def log(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int, map_index: int = -1, position: int = 0
    ) -> LogPage | None:
        """A task's log from a position on, as much as an answer may hold; None when there is no such try.

        While the task runs, ask again from the position that the page ends at. A log that is lost has lines that say so.
        Where Airflow itself sees only a window of a running task's log, positions are those within the window.
        """


class Airflow(AirflowReader):
    """Writes, each under the fence of the subject on whose behalf it is done.

    Airflow has no conditional writes: what is to be written is read first, what is right already is not written, the fence is
    asked right before each call, and no write is repeated. After a TransientError its effect is unknown.
    """

    @abstractmethod
    async def pause_all(self, *, fence: Fence) -> Sequence[str]:
        """Pause every DAG; the ids of those that were not. Runs of a paused DAG start no further task.

        Who is to unpause them again should note, before this, what `dags` says: after a lost answer, or a crash, nobody knows
        any more which they were.
        """

    @abstractmethod
    async def set_paused(self, dag_ids: Sequence[str], paused: bool, *, fence: Fence) -> Sequence[str]:
        """Pause or unpause these DAGs; the ids of those where that changed anything. One that is gone is let be."""

    @abstractmethod
    async def trigger(
        self, dag_id: str, run_id: str, *, conf: Conf | None = None, note: str | None = None, fence: Fence
    ) -> DagRun:
        """Begin a run with an id of the caller's own, or return the one that has this id already.

        PermanentError(invalid_request) when there is no such DAG, or Airflow does not take the id or the conf.
        """

    @abstractmethod
    async def set_run_state(self, dag_id: str, run_id: str, state: RunState, *, fence: Fence) -> bool:
        """End a run, or queue it again; whether that changed anything. PermanentError(invalid_request) when there is none."""

    @abstractmethod
    async def clear(
        self,
        dag_id: str,
        run_id: str,
        *,
        task_ids: Sequence[str] = (),
        only_failed: bool = True,
        upstream: bool = False,
        downstream: bool = False,
        dry_run: bool = False,
        fence: Fence,
    ) -> Sequence[TaskInstance]:
        """Have tasks of a run done again: these or all, with what comes before or after. Those that are meant, as they were.

        `dry_run` asks Airflow and changes nothing; the fence is not consulted then. PermanentError(in_use) when one is running,
        PermanentError(invalid_request) when there is no such run. Tasks that it has not are passed over.
        """


class Airflows(ABC):
    """The Airflows of all environments."""

    @abstractmethod
    def of(self, address: AirflowAddress, caller: Caller = AGENT) -> Airflow:
        """One environment's, as one caller. Nothing is dialled before the first call."""


def dag_ids_by_bundle(dags: Iterable[Dag]) -> Mapping[str, frozenset[str]]:
    """Which live DAGs each bundle has."""
    found: dict[str, set[str]] = {}
    for dag in dags:
        if dag.bundle_name is not None and not dag.is_stale:
            found.setdefault(dag.bundle_name, set()).add(dag.dag_id)
    return {bundle: frozenset(dag_ids) for bundle, dag_ids in found.items()}


def duplicate_dag_ids(bundles: Mapping[str, Iterable[str]]) -> Mapping[str, tuple[str, ...]]:
    """The DAG ids that more than one bundle has, each with its bundles.

    Airflow says nothing of them: whichever bundle is parsed last has the DAG, and so on in turn. Refuse them before a deploy.
    """
    owners: dict[str, set[str]] = {}
    for bundle, dag_ids in bundles.items():
        for dag_id in dag_ids:
            owners.setdefault(dag_id, set()).add(bundle)
    return {dag_id: tuple(sorted(found)) for dag_id, found in sorted(owners.items()) if len(found) > 1}
