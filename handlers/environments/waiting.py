"""Whether what has been started is ready, or what has been stopped is gone: a short look, then the event waits elsewhere."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from agentd.core import Context, NotReady
from agentd.platform import Cluster, ClusterDefaults, Kind, Manifest, keys
from agentd.platform.airflow_defaults import AirflowComponent
from handlers.environments import troubles
from handlers.environments.instances import own
from handlers.manifests.airflow import AirflowInstance
from handlers.manifests.kinds import JOB, POD
from handlers.manifests.labels import AIRFLOW, STREAMING

_ENDED = ("Succeeded", "Failed")


class Patience:
    """How long an attempt waits in place, over all that it waits for: then it gives its slot back."""

    def __init__(self, ctx: Context, environment_name: str) -> None:
        self._cluster = ctx.port(Cluster)
        self._namespace = environment_name
        self._left_s = ctx.port(ClusterDefaults).ready_wait_s

    async def until(
        self, kind: Kind, labels: Mapping[str, str], done: Callable[[Sequence[Manifest]], bool]
    ) -> Sequence[Manifest] | None:
        """See Cluster.until."""
        began = asyncio.get_running_loop().time()
        try:
            return await self._cluster.until(
                kind, namespace=self._namespace, labels=labels, done=done, wait_s=self._left_s
            )
        finally:
            self._left_s = max(0.0, self._left_s - (asyncio.get_running_loop().time() - began))


async def rolled_out(
    ctx: Context, patience: Patience, instance: AirflowInstance, kind: Kind, wanted: Sequence[Manifest]
) -> None:
    """Return once each workload of the kind has the pods that it should have now, all of them at work, and no others.

    NotReady names those that have not, and what is the matter with their pods.
    """
    names = {manifest["metadata"]["name"] for manifest in wanted if Kind.of(manifest) == kind}
    if not names:
        return
    found = await patience.until(
        kind,
        own(ctx),
        lambda found: names <= {_name(workload) for workload in found if troubles.of_workload(workload) is None},
    )
    if found is None:
        return
    told = {_name(workload): troubles.of_workload(workload) for workload in found}
    lacking = {name: told.get(name, "it is not there") for name in sorted(names)}
    said = [f"{kind.name} {name} is not ready: {why}" for name, why in lacking.items() if why is not None]
    raise NotReady("; ".join([*said, *await pods(ctx, instance)]))


async def ended(ctx: Context, patience: Patience, instance: AirflowInstance, job: Manifest) -> None:
    """Return once the Job has succeeded or failed. NotReady until then."""
    name = _name(job)
    found = await patience.until(
        JOB,
        own(ctx),
        lambda found: any(_name(one) == name and _has_ended(one) for one in found),
    )
    if found is not None:
        raise NotReady("; ".join([f"Job {name} has not ended yet", *await pods(ctx, instance)]))


async def stopped(patience: Patience, instance: AirflowInstance, *, database: bool) -> None:
    """Return once no pod of Airflow's is left, of its database or of everything else. NotReady names those that are."""

    def left(found: Sequence[Manifest]) -> list[str]:
        return [_name(pod) for pod in found if not _has_stopped(pod) and _is_ours(pod, database=database)]

    found = await patience.until(
        POD,
        {},
        lambda found: not left(found),
    )
    if found is not None:
        raise NotReady(f"these pods of environment {instance.environment.name} still run: {', '.join(left(found))}")


def failure(job: Manifest | None) -> str | None:
    """Why a Job has failed for good; None unless it has."""
    conditions = ((job or {}).get("status") or {}).get("conditions") or ()
    failed = [condition for condition in conditions if condition["type"] == "Failed" and condition["status"] == "True"]
    return troubles.said(failed[0]) if failed else None


async def pods(ctx: Context, instance: AirflowInstance) -> list[str]:
    """What is the matter with Airflow's pods, workers aside: those are nobody's fault but their tasks'."""
    found = await ctx.port(Cluster).list(POD, namespace=instance.environment.name, labels={keys.NAME: AIRFLOW})
    told = [(pod, troubles.of_pod(pod)) for pod in found if _component(pod) != AirflowComponent.WORKER]
    return [f"pod {_name(pod)}: {why}" for pod, why in told if why is not None]


def _has_ended(job: Manifest) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(one["type"] in ("Complete", "Failed") and one["status"] == "True" for one in conditions)


def _has_stopped(pod: Manifest) -> bool:
    return (pod.get("status") or {}).get("phase") in _ENDED


def _is_ours(pod: Manifest, *, database: bool) -> bool:
    component = _component(pod)
    if database:
        return component == AirflowComponent.DATABASE
    return component == STREAMING or (component in tuple(AirflowComponent) and component != AirflowComponent.DATABASE)


def _component(pod: Manifest) -> str | None:
    component: str | None = (pod["metadata"].get("labels") or {}).get(keys.COMPONENT)
    return component


def _name(manifest: Manifest) -> str:
    name: str = manifest["metadata"]["name"]
    return name
