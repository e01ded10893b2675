"""Hibernation: everything that runs in an environment is stopped, and remembers how much of it there was."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentd.core import Context, PermanentError, Reason, side_by_side
from agentd.platform import Cluster, Manifest, ObjectRef, keys
from handlers.manifests import WORKLOADS, Environment


@dataclass(frozen=True, slots=True)
class _Scaling:
    """One workload that has to be scaled; an annotation of None is removed."""

    ref: ObjectRef
    replicas: int
    annotations: Mapping[str, str | None]


async def set_power(ctx: Context, environment: Environment) -> list[str]:
    """Stop or start every workload of the environment, as is desired; those that had to be scaled."""
    cluster = ctx.port(Cluster)
    labels = {keys.OWNER_ID: ctx.fence.owner_id, keys.ENVIRONMENT_ID: ctx.subject.uuid}
    found = [await cluster.list(kind, namespace=environment.name, labels=labels) for kind in WORKLOADS]
    plan = _stops if environment.hibernated else _starts
    scalings = [scaling for workloads in found for workload in workloads for scaling in plan(workload)]
    await side_by_side(
        scalings,
        lambda scaling: cluster.scale(scaling.ref, scaling.replicas, annotations=scaling.annotations, fence=ctx.fence),
    )
    ctx.progress(f"{len(scalings)} workloads {'stopped' if environment.hibernated else 'started'}")
    return [str(scaling.ref) for scaling in scalings]


def _stops(workload: Manifest) -> Iterator[_Scaling]:
    replicas = workload["spec"].get("replicas", 1)
    if replicas == 0:
        return
    # What is remembered stays: somebody has started it by hand since.
    annotations = {} if _remembered(workload) is not None else {keys.REPLICAS: str(replicas)}
    yield _Scaling(ObjectRef.of(workload), 0, annotations)


def _starts(workload: Manifest) -> Iterator[_Scaling]:
    remembered = _remembered(workload)
    if remembered is None:
        return
    ref = ObjectRef.of(workload)
    if not remembered.isdecimal():
        raise PermanentError(
            Reason.INVALID_REQUEST, f"{ref}: annotation {keys.REPLICAS} is {remembered!r} and should be a number"
        )
    yield _Scaling(ref, int(remembered), {keys.REPLICAS: None})


def _remembered(workload: Manifest) -> str | None:
    annotations: Mapping[str, str] = workload["metadata"].get("annotations") or {}
    return annotations.get(keys.REPLICAS)
