"""The end of an Airflow's work: nothing new is begun, and what runs has some time to end."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from agentd.core import Context, NotReady, PermanentError, TransientError
from agentd.platform import Airflow, AirflowAddress, AirflowDefaults, Airflows, Cluster, Manifest, keys
from agentd.platform.airflow import UNFINISHED, TaskInstance
from agentd.platform.airflow_defaults import AirflowComponent
from handlers.manifests.airflow import AirflowKeys, keys_ref
from handlers.manifests.kinds import POD
from handlers.manifests.labels import AIRFLOW

_API_SERVER = {keys.NAME: AIRFLOW, keys.COMPONENT: AirflowComponent.API_SERVER.value}
_NAMED = 5
_AGAIN_S = 10.0


async def pause(ctx: Context, name: str, since: float) -> int:
    """Pause every DAG; how many were not. Where no API server is at work there is nobody to tell.

    NotReady while Airflow does not do it, until the time for its end, which began at `since`, is over.
    """
    airflow = await _at_work(ctx, name, since)
    if airflow is None:
        return 0
    try:
        paused = await airflow.pause_all(fence=ctx.fence)
    except (TransientError, PermanentError) as error:
        raise NotReady(f"the DAGs are not paused yet: {error.message}", retry_after=_AGAIN_S) from error
    ctx.progress(f"{len(paused)} DAGs are paused")
    return len(paused)


async def drain(ctx: Context, name: str, since: float) -> None:
    """Return once no task runs, or the time for that is over. NotReady names those that do."""
    airflow = await _at_work(ctx, name, since)
    if airflow is None:
        return
    try:
        page = await airflow.task_instances(states=UNFINISHED, limit=_NAMED)
    except (TransientError, PermanentError) as error:
        raise NotReady(f"nobody knows what still runs: {error.message}", retry_after=_AGAIN_S) from error
    if page.total:
        raise NotReady(_told(page.items, page.total), retry_after=_AGAIN_S)


async def _at_work(ctx: Context, name: str, since: float) -> Airflow | None:
    """The environment's Airflow, if it can be asked and there is time left. None in a plan: it asks nobody for anything."""
    defaults = ctx.port(AirflowDefaults)
    if not ctx.has_port(Airflows) or ctx.now() >= since + defaults.patience.drain_s:
        return None
    secret = await ctx.port(Cluster).get(keys_ref(name))
    if secret is None or not await _answers(ctx, name):
        return None
    prefix = urlsplit(defaults.base_url.format(environment=name)).path.rstrip("/")
    jwt_secret = AirflowKeys.settled(secret, None, bytes).jwt_secret
    return ctx.port(Airflows).of(AirflowAddress(name, prefix, jwt_secret))


async def _answers(ctx: Context, name: str) -> bool:
    ready: list[Manifest] = []

    def done(pods: Sequence[Manifest]) -> bool:
        ready.extend(pod for pod in pods if _is_ready(pod))
        return True

    await ctx.port(Cluster).until(POD, namespace=name, labels=_API_SERVER, done=done, wait_s=0.0)
    return bool(ready)


def _is_ready(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _told(tasks: Sequence[TaskInstance], total: int) -> str:
    said = ", ".join(f"{task.dag_id}.{task.task_id} of run {task.dag_run_id}" for task in tasks)
    more = total - len(tasks)
    return f"{total} tasks have not ended yet: {said}{f' and {more} more' if more > 0 else ''}"
