"""The shapes of Airflow's answers. Source: its OpenAPI document, version 3.3. What is not named here is passed over."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from agentd.platform.airflow import Component, Dag, DagRun, Health, ImportFailure, Page, TaskInstance


@dataclass(frozen=True, slots=True)
class Listing:
    """What all listings have."""

    total_entries: int


@dataclass(frozen=True, slots=True)
class Dags(Listing):
    """GET /dags."""

    dags: tuple[Dag, ...]

    @property
    def page(self) -> Page[Dag]:
        """As the port gives it."""
        return Page(self.dags, self.total_entries)


@dataclass(frozen=True, slots=True)
class ImportErrors(Listing):
    """GET /importErrors."""

    import_errors: tuple[ImportFailure, ...]

    @property
    def page(self) -> Page[ImportFailure]:
        """As the port gives it."""
        return Page(self.import_errors, self.total_entries)


@dataclass(frozen=True, slots=True)
class DagRuns(Listing):
    """GET /dags/{id}/dagRuns."""

    dag_runs: tuple[DagRun, ...]

    @property
    def page(self) -> Page[DagRun]:
        """As the port gives it."""
        return Page(self.dag_runs, self.total_entries)


@dataclass(frozen=True, slots=True)
class TaskInstances(Listing):
    """GET /dags/{id}/dagRuns/{run}/taskInstances, and the answer of clearTaskInstances."""

    task_instances: tuple[TaskInstance, ...]

    @property
    def page(self) -> Page[TaskInstance]:
        """As the port gives it."""
        return Page(self.task_instances, self.total_entries)


@dataclass(frozen=True, slots=True)
class Version:
    """GET /version."""

    version: str


@dataclass(frozen=True, slots=True)
class _Part:
    status: str | None
    latest_scheduler_heartbeat: datetime | None = None
    latest_triggerer_heartbeat: datetime | None = None
    latest_dag_processor_heartbeat: datetime | None = None

    @property
    def component(self) -> Component:
        """As the port gives it."""
        return Component(
            self.status,
            self.latest_scheduler_heartbeat or self.latest_triggerer_heartbeat or self.latest_dag_processor_heartbeat,
        )


@dataclass(frozen=True, slots=True)
class Monitor:
    """GET /monitor/health. A component that was never started has no status."""

    metadatabase: _Part
    scheduler: _Part
    triggerer: _Part
    dag_processor: _Part | None = None

    @property
    def health(self) -> Health:
        """As the port gives it."""
        dag_processor = self.dag_processor or _Part(None)
        return Health(
            {
                "metadatabase": self.metadatabase.component,
                "scheduler": self.scheduler.component,
                "triggerer": self.triggerer.component,
                "dag_processor": dag_processor.component,
            }
        )


DAG = TypeAdapter(Dag)
DAGS = TypeAdapter(Dags)
DAG_RUN = TypeAdapter(DagRun)
DAG_RUNS = TypeAdapter(DagRuns)
IMPORT_ERRORS = TypeAdapter(ImportErrors)
MONITOR = TypeAdapter(Monitor)
TASK_INSTANCE = TypeAdapter(TaskInstance)
TASK_INSTANCES = TypeAdapter(TaskInstances)
VERSION = TypeAdapter(Version)
