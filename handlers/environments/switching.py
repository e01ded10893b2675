"""From the builds that are live to those that are wanted, and back again when those do not live.

The records of projects say which builds are live: they are written after the proof, and what is gone back to is read from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentd.core import Context, PermanentError
from agentd.platform import Manifest
from handlers.environments import projects
from handlers.environments.proof import Failure, not_read, not_up
from handlers.environments.steps import apply_all
from handlers.environments.waiting import Patience
from handlers.manifests.airflow import AirflowInstance, Stages, stages
from handlers.manifests.airflow.workers import NAME as WORKER_TEMPLATE
from handlers.manifests.projects import DeployedProject


@dataclass(frozen=True, slots=True)
class Switch:
    """What is live in an Airflow, and what is wanted in its place."""

    instance: AirflowInstance
    live: Sequence[DeployedProject]
    wanted: Sequence[DeployedProject]

    @property
    def new(self) -> list[DeployedProject]:
        """The projects whose builds are not live yet."""
        images = {project.project_name: project.image for project in self.live}
        return [project for project in self.wanted if images.get(project.project_name) != project.image]


async def switch(ctx: Context, found: Switch, dags: Mapping[str, int], since: float) -> dict[str, str]:
    """Bring the wanted builds up and see that they live: nothing, or what is kept of the failure. NotReady while it is open.

    `dags`: how many each project has, by its check; `since`: when this was begun. In an environment that hibernates there is
    nothing to see.
    """
    wanted = stages(found.instance, found.wanted)
    await apply_all(ctx, _of_builds(wanted), in_order=True)
    if found.instance.environment.hibernated:
        return {}
    patience = Patience(ctx, found.instance.environment.name)
    failure = await not_up(ctx, patience, found.instance, wanted.components, since)
    if failure is None and found.new:
        failure = await not_read(ctx, patience, found.instance, found.new, dags=dags, since=since)
    return failure.kept() if failure else {}


async def restore(ctx: Context, found: Switch, failure: Failure) -> None:
    """Put back what was live. Raises PermanentError with the failure once that is done."""
    environment, previous = found.instance.environment, stages(found.instance, found.live)
    await projects.mark_images(ctx, environment.name, found.live)
    await apply_all(ctx, _of_builds(previous), in_order=True)
    await projects.undeploy(ctx, environment, found.live)
    raise PermanentError(failure.reason, f"{failure.message}; the previous builds have been put back")


def _of_builds(wanted: Stages) -> list[Manifest]:
    """What changes with the builds: where tasks run, what reads DAGs, and what streams."""
    templates = [manifest for manifest in wanted.ground if manifest["metadata"]["name"] == WORKER_TEMPLATE]
    return [*templates, *wanted.components, *wanted.streaming]
