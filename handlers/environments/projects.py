"""The projects of an environment: what is deployed, and what is not any more."""

from collections.abc import Sequence

from agentd.core import Context, side_by_side
from agentd.platform import Cluster, ImageRegistry, ObjectRef, RepositoryDefaults, keys
from handlers.environments import desired
from handlers.environments.steps import apply_all
from handlers.manifests import PROJECT_KINDS, Environment
from handlers.manifests.kinds import CONFIG_MAP
from handlers.manifests.labels import PROJECT
from handlers.manifests.projects import DeployedProject, deployed, deployed_name

KIND = "project"


async def apply_projects(ctx: Context, environment: Environment, projects: Sequence[DeployedProject]) -> dict[str, int]:
    """Say what is deployed, and who its jobs are."""
    return await apply_all(ctx, [manifest for project in projects for manifest in deployed(project, environment)])


async def mark_images(ctx: Context, environment: str, projects: Sequence[DeployedProject]) -> None:
    """Mark every image as in use. After `apply_projects`: what has a mark has a record, by which `undeploy` finds it."""

    async def mark(project: DeployedProject) -> None:
        repository = repository_of(ctx, project.project_name)
        await ctx.port(ImageRegistry).mark_deployed(repository, project.digest, environment, fence=ctx.fence)

    await side_by_side(projects, mark)
    ctx.progress(f"{len(projects)} images are marked")


async def undeploy(ctx: Context, environment: Environment, keep: Sequence[DeployedProject]) -> list[str]:
    """Take everything away that is not to be kept: marks before records. Returns the projects whose images had a mark."""
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
    records = await ctx.port(Cluster).list(CONFIG_MAP, namespace=environment, labels=_labels(ctx))
    known = {deployed_name(record) for record in records} | {found.project_name for found in desired.projects(ctx)}
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


def _labels(ctx: Context) -> dict[str, str]:
    """Labels of everything that deployed projects are made of in the environment."""
    return {keys.ENVIRONMENT_ID: ctx.subject.uuid, keys.COMPONENT: PROJECT}
