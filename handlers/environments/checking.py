"""Whether builds can be deployed, found out by the Airflow that is to run them before anything that runs is touched."""

from collections.abc import Sequence
from datetime import datetime

from agentd.core import Context, NotReady, PermanentError, Reason
from agentd.platform import Cluster, ClusterDefaults, Manifest, ObjectRef
from agentd.platform.airflow_defaults import AirflowComponent
from handlers.environments.diagnosis import hopeless
from handlers.environments.instances import own
from handlers.environments.sights import troubles_of
from handlers.environments.steps import apply_all
from handlers.manifests.airflow import AirflowInstance, running
from handlers.manifests.airflow.check import CheckResult, check, files
from handlers.manifests.kinds import DEPLOYMENT, JOB, POD
from handlers.manifests.projects import DeployedProject

# Source: the Job controller, which labels its pods.
_JOB_NAME = "batch.kubernetes.io/job-name"


async def check_new(
    ctx: Context, instance: AirflowInstance, projects: Sequence[DeployedProject], *, new: bool
) -> dict[str, int]:
    """`check_builds`, if any is new or the Airflow will be of another release than the one that has read them before."""
    if projects and (new or await _is_another(ctx, instance)):
        return await check_builds(ctx, instance, projects)
    return {}


async def check_builds(ctx: Context, instance: AirflowInstance, projects: Sequence[DeployedProject]) -> dict[str, int]:
    """Have all builds read together; how many DAGs each has. NotReady until they have been.

    PermanentError when they cannot be deployed (import_errors, duplicate_dags), or the check cannot be made, with why.
    """
    job = check(instance, projects)
    await apply_all(ctx, [files(instance), job], in_order=True)
    pods = await _look(ctx, job)
    if pods is None:
        return {}
    found = next((result for pod in pods if (result := CheckResult.of(pod)) is not None), None)
    if found is None:
        raise await _open(ctx, instance, job)
    _refuse(found)
    ctx.progress(f"{sum(found.dags.values())} DAGs of {len(projects)} projects can be read")
    return dict(found.dags)


async def _look(ctx: Context, job: Manifest) -> Sequence[Manifest] | None:
    """The pods of the check, once it has been made, or when a step has waited in place for long enough; None in a plan."""
    seen: list[Sequence[Manifest]] = []

    def done(pods: Sequence[Manifest]) -> bool:
        seen.append(pods)
        return any(CheckResult.of(pod) is not None for pod in pods)

    metadata = job["metadata"]
    await ctx.port(Cluster).until(
        POD,
        namespace=metadata["namespace"],
        labels={_JOB_NAME: metadata["name"]},
        done=done,
        wait_s=ctx.port(ClusterDefaults).ready_wait_s,
    )
    return seen[-1] if seen else None


async def _open(ctx: Context, instance: AirflowInstance, wanted: Manifest) -> NotReady | PermanentError:
    """NotReady while there is hope that the check will be made, PermanentError once there is none."""
    name, limit_s = wanted["metadata"]["name"], instance.defaults.patience.check_s
    job = await ctx.port(Cluster).get(ObjectRef.of(wanted))
    if job is None or _is_complete(job):
        await _clear(ctx, instance)
        return NotReady(f"what Job {name} has found is gone; it is made anew")
    found = await troubles_of(ctx, instance.environment.name, {_JOB_NAME: name}, [job])
    said = f"the builds have not been read: {found[0] if found else f'Job {name} has not ended'}"
    late = ctx.now() > _made_at(job) + limit_s
    if not late and not hopeless(found):
        return NotReady(said)
    # So that another attempt is another check.
    await _clear(ctx, instance)
    reason = found[0].reason if found else Reason.NOT_UP_IN_TIME
    return PermanentError(reason, f"{said}; it was given {limit_s:g} s" if late else said)


async def _is_another(ctx: Context, instance: AirflowInstance) -> bool:
    """Whether an Airflow is there, and is of another release."""
    found = await ctx.port(Cluster).list(DEPLOYMENT, namespace=instance.environment.name, labels=own(ctx))
    return running(found) not in (None, instance.release.version)


async def _clear(ctx: Context, instance: AirflowInstance) -> None:
    labels, name = own(ctx, AirflowComponent.CHECK.value), instance.environment.name
    await ctx.port(Cluster).prune((JOB,), namespace=name, labels=labels, keep=(), fence=ctx.fence)


def _is_complete(job: Manifest) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)


def _refuse(found: CheckResult) -> None:
    if found.errors:
        raise PermanentError(Reason.IMPORT_ERRORS, "; ".join([*found.errors, *found.duplicates]))
    if found.duplicates:
        raise PermanentError(Reason.DUPLICATE_DAGS, "; ".join(found.duplicates))


def _made_at(job: Manifest) -> float:
    return datetime.fromisoformat(job["metadata"]["creationTimestamp"]).timestamp()
