"""Projects: a project is a repository for its images, and what it is given wherever it is deployed."""

from agentd.core import Context, handler
from agentd.events import ProjectConfigure, ProjectCreate, ProjectDelete, ProjectReconcile
from agentd.platform import Cluster
from handlers import project_configurations, repositories

KIND = "project"


@handler(
    ProjectCreate,
    steps=(*repositories.CREATE_STEPS, project_configurations.WRITE),
    timeout_s=120,
    permissions=(*repositories.create_permissions(KIND), *project_configurations.PERMISSIONS),
)
async def create(ctx: Context, data: ProjectCreate) -> None:
    """Create the project's repository, or bring it to what is wanted; where there is a cluster, its configuration too."""
    await _bring_about(ctx, data.project_name)


@handler(
    ProjectDelete,
    steps=(*repositories.DELETE_STEPS, project_configurations.REMOVE),
    timeout_s=120,
    permissions=(*repositories.delete_permissions(KIND), *project_configurations.PERMISSIONS),
)
async def delete(ctx: Context, data: ProjectDelete) -> None:
    """Delete the project's repository, or leave it marked; its configuration goes after that."""
    await repositories.delete_repository(
        ctx, kind=KIND, name=data.project_name, force=data.force, retention=data.retention
    )
    if ctx.has_port(Cluster):
        await project_configurations.remove(ctx, data.project_name)


@handler(ProjectReconcile, steps=create.steps, timeout_s=create.timeout_s, permissions=create.permissions)
async def reconcile(ctx: Context, data: ProjectReconcile) -> None:
    """Bring the project's repository, and where there is a cluster its configuration, to what is desired already."""
    await _bring_about(ctx, data.project_name)


@handler(
    ProjectConfigure,
    steps=(project_configurations.WRITE,),
    timeout_s=60,
    permissions=project_configurations.PERMISSIONS,
)
async def configure(ctx: Context, _data: ProjectConfigure) -> None:
    """Write the project's configuration for the next deploys."""
    await project_configurations.write(ctx, project_configurations.desired(ctx))


async def _bring_about(ctx: Context, name: str) -> None:
    configuration = project_configurations.desired(ctx) if ctx.has_port(Cluster) else None
    await repositories.create_repository(ctx, kind=KIND, name=name)
    if configuration is not None:
        await project_configurations.write(ctx, configuration)
