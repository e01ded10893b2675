"""All objects of an environment's Airflow, in the order in which they are brought about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentd.platform import Kind, Manifest
from handlers.manifests import kinds
from handlers.manifests.airflow import (
    check,
    components,
    configuration,
    database,
    migration,
    network,
    streaming,
    workers,
)
from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.airflow.streaming import StreamingApplication
from handlers.manifests.projects import DeployedProject

PRUNED: tuple[Kind, ...] = (
    kinds.JOB,
    kinds.DEPLOYMENT,
    kinds.STATEFUL_SET,
    kinds.POD_DISRUPTION_BUDGET,
    kinds.SERVICE,
    kinds.NETWORK_POLICY,
    kinds.CONFIG_MAP,
)
"""The kinds of what goes when it is not wanted any more. Not Secrets and claims on volumes: what they hold is nowhere else."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Each is applied when the one before it is as it should be."""

    ground: tuple[Manifest, ...]
    """What pods read and mount, and what lets them connect. Needs nothing but the environment itself."""
    database: tuple[Manifest, ...]
    """The database in the cluster; wait until it is ready. Empty where it is elsewhere."""
    migration: tuple[Manifest, ...]
    """The Job that brings it to the release's schema; wait until it is complete. Empty while the environment hibernates."""
    components: tuple[Manifest, ...]
    """Airflow itself; wait until every Deployment is available."""
    streaming: tuple[Manifest, ...]
    """The projects' streaming applications."""

    def all(self) -> list[Manifest]:
        """Everything, in order."""
        return [*self.ground, *self.database, *self.migration, *self.components, *self.streaming]


def stages(
    instance: AirflowInstance,
    projects: Sequence[DeployedProject] = (),
    applications: Mapping[str, Sequence[StreamingApplication]] | None = None,
) -> Stages:
    """The Airflow of an environment with these projects and, by a project's name, their streaming applications."""
    ground = [
        *configuration.secrets(instance),
        configuration.config(instance),
        check.files(instance),
        workers.template(instance, projects),
        *configuration.logs(instance),
        *network.network_policies(instance),
        components.service(instance),
        *components.budgets(instance),
    ]
    # It would wait for a database that is stopped, and be given up.
    migrates = () if instance.environment.hibernated else (migration.migration(instance),)
    return Stages(
        ground=tuple(ground),
        database=tuple(database.database(instance)),
        migration=migrates,
        components=tuple(components.deployments(instance, projects)),
        streaming=tuple(streaming.streaming(instance, projects, applications or {})),
    )


def objects(
    instance: AirflowInstance,
    projects: Sequence[DeployedProject] = (),
    applications: Mapping[str, Sequence[StreamingApplication]] | None = None,
) -> list[Manifest]:
    """All of them, in order."""
    return stages(instance, projects, applications).all()
