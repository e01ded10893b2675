"""An environment's Airflow, brought about stage by stage: what comes next begins when what is before it is ready."""

from agentd.core import Context, NotReady, PermanentError, Reason, TransientError
from agentd.platform import Cluster, Manifest, ObjectRef
from handlers.environments import waiting
from handlers.environments.database import ensure_database
from handlers.environments.instances import own
from handlers.environments.steps import apply_all
from handlers.environments.waiting import Patience
from handlers.manifests.airflow import PRUNED, AirflowInstance, Stages, keys_ref
from handlers.manifests.kinds import DEPLOYMENT, JOB, SECRET, STATEFUL_SET
from handlers.manifests.labels import AIRFLOW, STREAMING

PREPARE = "prepare Airflow"
START_DATABASE = "start database"
MIGRATE = "migrate database"
START = "start Airflow"
STOP = "stop Airflow"
STOP_DATABASE = "stop database"

STEPS = (PREPARE, START_DATABASE, MIGRATE, START, STOP, STOP_DATABASE)
"""Of one event the first and those up or those down."""


async def bring_about(ctx: Context, instance: AirflowInstance, wanted: Stages) -> None:
    """Bring Airflow up, or down and the database after it. NotReady with what is not ready yet, and what is said of it."""
    patience = Patience(ctx, instance.environment.name)
    await ctx.step(PREPARE, lambda: _prepare(ctx, instance, wanted))
    if instance.environment.hibernated:
        await ctx.step(STOP, lambda: _stop(ctx, patience, instance, wanted))
        await ctx.step(STOP_DATABASE, lambda: _stop_database(ctx, patience, instance, wanted))
    else:
        await ctx.step(START_DATABASE, lambda: _start_database(ctx, patience, instance, wanted))
        await ctx.step(MIGRATE, lambda: _migrate(ctx, patience, instance, wanted))
        await ctx.step(START, lambda: _start(ctx, patience, instance, wanted))


async def remove_others(ctx: Context, instance: AirflowInstance, wanted: Stages) -> list[ObjectRef]:
    """Delete what Airflow and streaming applications do not consist of any more; what that was."""
    cluster, name = ctx.port(Cluster), instance.environment.name
    keep = [ObjectRef.of(manifest) for manifest in wanted.all()]
    return [
        *await cluster.prune(PRUNED, namespace=name, labels=own(ctx, AIRFLOW), keep=keep, fence=ctx.fence),
        *await cluster.prune((DEPLOYMENT,), namespace=name, labels=own(ctx, STREAMING), keep=keep, fence=ctx.fence),
    ]


async def _prepare(ctx: Context, instance: AirflowInstance, wanted: Stages) -> dict[str, int]:
    """Secrets before everything else: who finds them is bound by them."""
    secrets = [manifest for manifest in wanted.ground if manifest["kind"] == SECRET.name]
    try:
        await apply_all(ctx, secrets)
    except PermanentError as error:
        if await _are_others(ctx, instance, error):
            raise NotReady(
                f"the keys of environment {instance.environment.name} were made by an earlier attempt in the meantime"
            ) from error
        raise
    rest = [manifest for manifest in wanted.ground if manifest not in secrets]
    return await apply_all(ctx, rest, in_order=True)


async def _are_others(ctx: Context, instance: AirflowInstance, error: PermanentError) -> bool:
    """Whether an attempt whose end nobody has heard of has made the keys, which cannot be changed, after they were missed."""
    found = await ctx.port(Cluster).get(keys_ref(instance.environment.name))
    made, ours = (found or {}).get("data") or {}, instance.keys.data()
    return error.reason is Reason.INVALID_REQUEST and made.keys() == ours.keys() and made != ours


async def _start_database(ctx: Context, patience: Patience, instance: AirflowInstance, wanted: Stages) -> None:
    await ensure_database(ctx, instance)
    await apply_all(ctx, wanted.database, in_order=True)
    await waiting.rolled_out(ctx, patience, instance, STATEFUL_SET, wanted.database)


async def _migrate(ctx: Context, patience: Patience, instance: AirflowInstance, wanted: Stages) -> None:
    for job in wanted.migration:
        await _refuse_failed(ctx, instance, job)
        await apply_all(ctx, [job])
        await waiting.ended(ctx, patience, instance, job)
        await _refuse_failed(ctx, instance, job)


async def _refuse_failed(ctx: Context, instance: AirflowInstance, job: Manifest) -> None:
    """Raise TransientError(migration_failed) for a Job that has failed, which makes room for another: it never runs again."""
    cluster = ctx.port(Cluster)
    why = waiting.failure(await cluster.get(ObjectRef.of(job)))
    if why is None:
        return
    said = "; ".join([f"Job {job['metadata']['name']} has failed: {why}", *await waiting.pods(ctx, instance)])
    await cluster.prune((JOB,), namespace=instance.environment.name, labels=own(ctx), keep=(), fence=ctx.fence)
    raise TransientError(Reason.MIGRATION_FAILED, said)


async def _start(ctx: Context, patience: Patience, instance: AirflowInstance, wanted: Stages) -> None:
    await apply_all(ctx, wanted.components)
    await waiting.rolled_out(ctx, patience, instance, DEPLOYMENT, wanted.components)
    await apply_all(ctx, wanted.streaming)


async def _stop(ctx: Context, patience: Patience, instance: AirflowInstance, wanted: Stages) -> None:
    """Everything that uses the database, a migration that still runs included."""
    await apply_all(ctx, [*wanted.streaming, *wanted.components])
    name = instance.environment.name
    await ctx.port(Cluster).prune((JOB,), namespace=name, labels=own(ctx), keep=(), fence=ctx.fence)
    await waiting.stopped(patience, instance, database=False)


async def _stop_database(ctx: Context, patience: Patience, instance: AirflowInstance, wanted: Stages) -> None:
    await apply_all(ctx, wanted.database, in_order=True)
    await waiting.stopped(patience, instance, database=True)
