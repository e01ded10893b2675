"""Projects: a project is a repository for its images."""

from agentd.core import Context, handler
from agentd.events import ProjectCreate, ProjectDelete
from handlers import repositories

KIND = "project"


@handler(
    ProjectCreate,
    steps=repositories.CREATE_STEPS,
    timeout_s=120,
    permissions=repositories.create_permissions(KIND),
)
async def create(ctx: Context, data: ProjectCreate) -> None:
    """Create the project's repository, or bring it to what is wanted."""
    await repositories.create_repository(ctx, kind=KIND, name=data.project_name)


@handler(
    ProjectDelete,
    steps=repositories.DELETE_STEPS,
    timeout_s=120,
    permissions=repositories.delete_permissions(KIND),
)
async def delete(ctx: Context, data: ProjectDelete) -> None:
    """Delete the project's repository, or leave it marked."""
    await repositories.delete_repository(
        ctx, kind=KIND, name=data.project_name, force=data.force, retention=data.retention
    )
