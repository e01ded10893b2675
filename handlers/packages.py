"""Packages: a package is a repository for its images."""

from agentd.core import Context, handler
from agentd.events import PackageCreate, PackageDelete, PackageReconcile
from handlers import repositories

KIND = "package"


@handler(
    PackageCreate,
    steps=repositories.CREATE_STEPS,
    timeout_s=120,
    permissions=repositories.create_permissions(KIND),
)
async def create(ctx: Context, data: PackageCreate) -> None:
    """Create the package's repository, or bring it to what is wanted."""
    await repositories.create_repository(ctx, kind=KIND, name=data.package_name)


@handler(PackageReconcile, steps=create.steps, timeout_s=create.timeout_s, permissions=create.permissions)
async def reconcile(ctx: Context, data: PackageReconcile) -> None:
    """Bring the package's repository to what is desired already."""
    await repositories.create_repository(ctx, kind=KIND, name=data.package_name)


@handler(
    PackageDelete,
    steps=repositories.DELETE_STEPS,
    timeout_s=120,
    permissions=repositories.delete_permissions(KIND),
)
async def delete(ctx: Context, data: PackageDelete) -> None:
    """Delete the package's repository, or leave it marked."""
    await repositories.delete_repository(
        ctx, kind=KIND, name=data.package_name, force=data.force, retention=data.retention
    )
