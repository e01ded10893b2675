"""The Airflow that an environment is to have: found out anew in every attempt, before anything is written."""

from collections.abc import Sequence
from dataclasses import replace

from agentd.core import Context, PermanentError, Reason
from agentd.events import Power
from agentd.platform import AirflowDefaults, Cluster, keys
from handlers.manifests import Environment
from handlers.manifests.airflow import (
    AirflowInstance,
    AirflowKeys,
    database_ref,
    keys_ref,
    objects,
    resolve,
    running,
    shortfalls,
)
from handlers.manifests.kinds import DEPLOYMENT, JOB
from handlers.manifests.labels import AIRFLOW
from handlers.manifests.projects import DeployedProject


async def find(ctx: Context, environment: Environment) -> AirflowInstance:
    """The release that is asked for, with the keys that there are, or new ones. PermanentError for one that cannot be run."""
    cluster, name, defaults = ctx.port(Cluster), environment.name, ctx.port(AirflowDefaults)
    found = [
        manifest for kind in (JOB, DEPLOYMENT) for manifest in await cluster.list(kind, namespace=name, labels=own(ctx))
    ]
    return AirflowInstance(
        environment=environment,
        release=resolve(environment.spec.airflow_version, running(found), defaults.releases),
        defaults=defaults,
        keys=AirflowKeys.settled(
            await cluster.get(keys_ref(name)), await cluster.get(database_ref(name)), ctx.random_bytes
        ),
        image_volumes=await cluster.mounts_images(),
    )


def check_room(instance: AirflowInstance, projects: Sequence[DeployedProject]) -> None:
    """Raise PermanentError with all quotas that are too small for the environment's own Airflow, once it is awake."""
    environment = instance.environment
    awake = replace(instance, environment=replace(environment, power=Power.AWAKE))
    found = shortfalls(environment.spec.quotas, objects(awake, projects))
    if found:
        raise PermanentError(Reason.INVALID_REQUEST, f"environment {environment.name}: {'; '.join(found)}")


def own(ctx: Context, component: str = AIRFLOW) -> dict[str, str]:
    """Labels of the objects that the environment's Airflow is made of, or of its streaming applications."""
    return {keys.OWNER_ID: ctx.fence.owner_id, keys.ENVIRONMENT_ID: ctx.subject.uuid, keys.COMPONENT: component}
