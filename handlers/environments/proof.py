"""Proof that builds live: the DAG processor is at work with them, and Airflow says that it has read each without an error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from agentd.core import Context, NotReady, Reason, TransientError, side_by_side
from agentd.platform import Airflow, Airflows, Manifest, keys
from agentd.platform.airflow import Dag, ImportFailure
from agentd.platform.airflow_defaults import AirflowComponent
from handlers.environments import waiting
from handlers.environments.diagnosis import hopeless
from handlers.environments.sights import troubles_of
from handlers.environments.waiting import Patience
from handlers.manifests.airflow import AirflowInstance
from handlers.manifests.kinds import DEPLOYMENT, POD
from handlers.manifests.labels import AIRFLOW
from handlers.manifests.projects import DeployedProject

_DAG_PROCESSOR = {keys.NAME: AIRFLOW, keys.COMPONENT: AirflowComponent.DAG_PROCESSOR.value}
# An error is told by its traceback's end, and not all of them.
_TEXT = 700
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Failure:
    """Why builds do not live, and will not."""

    reason: Reason
    message: str

    @classmethod
    def of(cls, kept: Mapping[str, str]) -> Self | None:
        """Read it back from what a step has kept; of builds that live that is nothing."""
        return cls(Reason[kept["reason"]], kept["message"]) if kept else None

    def kept(self) -> dict[str, str]:
        """What a step keeps of it."""
        return {"reason": self.reason.name, "message": self.message}


async def not_up(
    ctx: Context, patience: Patience, instance: AirflowInstance, components: Sequence[Manifest], since: float
) -> Failure | None:
    """None once the components are at work. The failure when they never will be, or are not in time; NotReady otherwise."""
    try:
        await waiting.rolled_out(ctx, patience, instance, DEPLOYMENT, components)
    except NotReady as waits:
        found = await troubles_of(ctx, instance.environment.name, _DAG_PROCESSOR)
        if hopeless(found):
            return Failure(found[0].reason, str(found[0]))
        limit_s = instance.defaults.patience.start_s
        if ctx.now() < since + limit_s:
            raise
        reason, said = (found[0].reason, str(found[0])) if found else (Reason.NOT_UP_IN_TIME, waits.message)
        return Failure(reason, f"{said}; it was given {limit_s:g} s")
    return None


async def not_read(
    ctx: Context,
    patience: Patience,
    instance: AirflowInstance,
    projects: Sequence[DeployedProject],
    *,
    dags: Mapping[str, int],
    since: float,
) -> Failure | None:
    """None once the DAG processor, if it can be asked, has read the projects' bundles; `dags`: how many each has at least.

    The failure when it cannot import a file, or has not read them in time; NotReady otherwise. Times count from `since`.
    """
    if not ctx.has_port(Airflows):
        return None
    started = await _started(patience)
    if started is None:
        return None
    airflow = ctx.port(Airflows).of(instance.address)
    try:
        seen = await side_by_side(projects, lambda project: _seen(airflow, project, started))
    except (NotReady, TransientError) as error:
        return _unless_late(ctx, instance, error.message, since)
    errors = [error for bundle in seen for error in bundle.errors]
    if errors:
        return Failure(Reason.IMPORT_ERRORS, _told(errors))
    late = [bundle.name for bundle in seen if not bundle.is_read(dags.get(bundle.name, 0))]
    if not late:
        return None
    return _unless_late(ctx, instance, f"the DAG processor has not read these projects yet: {', '.join(late)}", since)


@dataclass(frozen=True, slots=True)
class _Bundle:
    """What Airflow knows of one project since the DAG processor started."""

    name: str
    fresh: int
    old: int
    errors: Sequence[ImportFailure]

    def is_read(self, dags: int) -> bool:
        """Whether all of it has been read."""
        return self.fresh >= dags and not self.old


async def _seen(airflow: Airflow, project: DeployedProject, started: datetime) -> _Bundle:
    name = project.project_name
    dags = await airflow.dags(bundle=name)
    fresh = sum(1 for dag in dags if _is_fresh(dag, started))
    failures = await airflow.import_failures(bundle=name)
    return _Bundle(name, fresh, len(dags) - fresh, [one for one in failures if one.timestamp >= started])


def _is_fresh(dag: Dag, started: datetime) -> bool:
    return dag.last_parsed_time is not None and dag.last_parsed_time >= started


async def _started(patience: Patience) -> datetime | None:
    """Since when the DAG processor runs, by the clock of its node, which is Airflow's too. None in a plan."""
    seen: list[datetime] = []

    def done(pods: Sequence[Manifest]) -> bool:
        seen.extend(moment for pod in pods if (moment := _running_since(pod)) is not None)
        return bool(seen)

    left = await patience.until(POD, _DAG_PROCESSOR, done)
    if left is not None:
        raise NotReady("the DAG processor does not run")
    return max(seen, default=None)


def _running_since(pod: Manifest) -> datetime | None:
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        running: Mapping[str, Any] = (status.get("state") or {}).get("running") or {}
        if running.get("startedAt"):
            return datetime.fromisoformat(running["startedAt"])
    return None


def _unless_late(ctx: Context, instance: AirflowInstance, open_yet: str, since: float) -> Failure:
    """The failure, when it is too late for hope; else raises NotReady."""
    limit_s = instance.defaults.patience.start_s + instance.defaults.patience.parse_s
    if ctx.now() < since + limit_s:
        raise NotReady(open_yet)
    return Failure(Reason.NOT_UP_IN_TIME, f"{open_yet}; it was given {limit_s:g} s")


def _told(errors: Sequence[ImportFailure]) -> str:
    said = [f"project {error.bundle_name}, {error.filename}: {error.stack_trace.strip()[-_TEXT:]}" for error in errors]
    more = len(said) - _TOLD
    return "; ".join([*said[:_TOLD], *([f"and {more} files more"] if more > 0 else [])])
