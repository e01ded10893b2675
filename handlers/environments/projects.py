"""The projects of an environment: what is deployed, and what is not any more."""

from collections.abc import Sequence

from agentd.core import Context, side_by_side
from agentd.platform import Cluster, ImageRegistry, Kind, Manifest, ObjectRef, RepositoryDefaults, keys
from handlers.environments import desired
from handlers.environments.steps import apply_all
from handlers.manifests import PROJECT_KINDS, Environment
from handlers.manifests.kinds import CONFIG_MAP
from handlers.manifests.labels import PROJECT
from handlers.manifests.projects import DeployedProject, deployed, deployed_name, record, service_account

KIND = "project"


async def live(ctx: Context, environment: str) -> list[DeployedProject]:
    """The projects that are deployed, with the builds that are live, by their records."""
    return [DeployedProject.of(record) for record in await _found(ctx, CONFIG_MAP, environment)]


async def apply_accounts(ctx: Context, environment: Environment, projects: Sequence[DeployedProject]) -> dict[str, int]:
    """Say who the projects' jobs are: pods need it to be there."""
    return await apply_all(ctx, [service_account(project, environment) for project in projects])


async def record_projects(
    ctx: Context, environment: Environment, projects: Sequence[DeployedProject]
) -> dict[str, int]:
    """Say what is deployed, once it is live: events that come later take it from here."""
    return await apply_all(ctx, [record(project, environment) for project in projects])


async def mark_images(ctx: Context, environment: str, projects: Sequence[DeployedProject]) -> None:
    """Mark every image as in use, before pods use it. After `apply_accounts`: what has a mark has an account, by which

    `undeploy` finds it.
    """

    async def mark(project: DeployedProject) -> None:
        repository = repository_of(ctx, project.project_name)
        await ctx.port(ImageRegistry).mark_deployed(repository, project.digest, environment, fence=ctx.fence)

    await side_by_side(projects, mark)
    ctx.progress(f"{len(projects)} images are marked")


async def undeploy(ctx: Context, environment: Environment, keep: Sequence[DeployedProject]) -> list[str]:
    """Take everything away that is not to be kept: marks before what they are found by. Returns the projects that had one."""
    gone = await unmark_images(ctx, environment.name, keep={project.project_name for project in keep})
    await ctx.port(Cluster).prune(
        PROJECT_KINDS,
        namespace=environment.name,
        labels=_labels(ctx),
        keep=[ObjectRef.of(manifest) for project in keep for manifest in deployed(project, environment)],
        fence=ctx.fence,
    )
    ctx.progress(f"{len(gone)} projects are not deployed any more")
    return gone


async def unmark_images(ctx: Context, environment: str, *, keep: set[str]) -> list[str]:
    """Take the marks off the images of all other projects that are, or were to be, deployed; the projects that had one."""
    found = [manifest for kind in PROJECT_KINDS for manifest in await _found(ctx, kind, environment)]
    known = {deployed_name(manifest) for manifest in found} | {named.project_name for named in desired.projects(ctx)}
    others = sorted(known - keep)
    had_one = await side_by_side(others, lambda name: _unmark(ctx, environment, name))
    return [name for name, had in zip(others, had_one, strict=True) if had]


def repository_of(ctx: Context, project_name: str) -> str:
    """The repository of a project's images."""
    return ctx.port(RepositoryDefaults).name(KIND, project_name)


async def _unmark(ctx: Context, environment: str, name: str) -> bool:
    registry, repository = ctx.port(ImageRegistry), repository_of(ctx, name)
    found = await registry.get(repository)
    # A repository of somebody else's has no mark of ours: the project was named, and never deployed.
    if found is None or found.owner_id != ctx.fence.owner_id:
        return False
    return await registry.unmark_deployed(repository, environment, fence=ctx.fence)


async def _found(ctx: Context, kind: Kind, environment: str) -> Sequence[Manifest]:
    return await ctx.port(Cluster).list(kind, namespace=environment, labels=_labels(ctx))


def _labels(ctx: Context) -> dict[str, str]:
    """Labels of everything that deployed projects are made of in the environment."""
    return {keys.ENVIRONMENT_ID: ctx.subject.uuid, keys.COMPONENT: PROJECT}
