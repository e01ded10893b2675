"""Builds: a build is an image of its project's repository, tagged with the build's id."""

from agentd.core import Context, handler
from agentd.events import BuildCleanup
from agentd.platform import ImageRegistry, RepositoryDefaults
from handlers import repositories


@handler(
    BuildCleanup,
    steps=("delete image",),
    timeout_s=60,
    permissions=repositories.cleanup_permissions("project"),
)
async def cleanup(ctx: Context, data: BuildCleanup) -> None:
    """Delete the build's image. One that is gone is success, one that a deployment uses is refused."""
    registry = ctx.port(ImageRegistry)
    repository = ctx.port(RepositoryDefaults).name("project", data.project_name)
    await ctx.step("delete image", lambda: registry.delete_image(repository, data.build_id, fence=ctx.fence))
