"""What projects and packages share: a repository for their images.

Each step may run again after a crash: the port reads first, and writes only what differs.
"""

from agentd.core import Context, Permission
from agentd.events import Retention
from agentd.platform import ImageRegistry, RepositoryDefaults, refuse_deployed

CREATE_STEPS = ("create repository", "set lifecycle policy", "set access policy")
DELETE_STEPS = ("delete repository", "retain repository")

_READS = ("ecr:DescribeRepositories", "ecr:ListTagsForResource")
_CREATES = (
    "ecr:CreateRepository",
    "ecr:DeleteRepositoryPolicy",
    "ecr:GetLifecyclePolicy",
    "ecr:GetRepositoryPolicy",
    "ecr:PutImageScanningConfiguration",
    "ecr:PutImageTagMutability",
    "ecr:PutLifecyclePolicy",
    "ecr:SetRepositoryPolicy",
    "ecr:TagResource",
)
_DELETES = ("ecr:DeleteRepository", "ecr:DescribeImages", "ecr:TagResource")
_CLEANS = ("ecr:BatchDeleteImage", "ecr:DescribeImages")
_MARKS = ("ecr:BatchDeleteImage", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:PutImage")
# Creating a repository with a customer's key makes a grant on that key. Source: ECR's documentation of encryption at rest.
_KEY = ("kms:CreateGrant", "kms:DescribeKey")


def create_permissions(kind: str) -> tuple[Permission, ...]:
    """What the creation of a repository needs."""
    keys = tuple(Permission("aws", action, "{registry.kms_key}") for action in _KEY)
    return (*_on_repositories(kind, _READS + _CREATES), *keys)


def delete_permissions(kind: str) -> tuple[Permission, ...]:
    """What the deletion of a repository needs."""
    return _on_repositories(kind, _READS + _DELETES)


def cleanup_permissions(kind: str) -> tuple[Permission, ...]:
    """What the deletion of one image needs."""
    return _on_repositories(kind, _READS + _CLEANS)


def mark_permissions(kind: str) -> tuple[Permission, ...]:
    """What marking an image as deployed needs, and taking the mark off."""
    return _on_repositories(kind, _READS + _MARKS)


async def create_repository(ctx: Context, *, kind: str, name: str) -> None:
    """The repository as the installation wants it."""
    registry = ctx.port(ImageRegistry)
    spec = ctx.port(RepositoryDefaults).spec(kind, name)

    async def create() -> str:
        return (await registry.ensure(spec, fence=ctx.fence)).uri

    await ctx.step("create repository", create)
    await ctx.step(
        "set lifecycle policy", lambda: registry.ensure_lifecycle(spec.name, spec.lifecycle, fence=ctx.fence)
    )
    await ctx.step("set access policy", lambda: registry.ensure_access(spec.name, spec.access, fence=ctx.fence))


async def delete_repository(ctx: Context, *, kind: str, name: str, force: bool, retention: Retention) -> None:
    """The repository gone, or marked as left behind. What a deployment uses is refused either way."""
    registry = ctx.port(ImageRegistry)
    repository = ctx.port(RepositoryDefaults).name(kind, name)

    async def retain() -> None:
        refuse_deployed(f"repository {repository}", await registry.images(repository))
        await registry.retain(repository, fence=ctx.fence)

    if retention is Retention.RETAIN:
        await ctx.step("retain repository", retain)
    else:
        await ctx.step("delete repository", lambda: registry.delete(repository, force=force, fence=ctx.fence))


def _on_repositories(kind: str, actions: tuple[str, ...]) -> tuple[Permission, ...]:
    """Resources name settings in braces: whoever prints permissions fills them in."""
    resource = f"arn:aws:ecr:*:*:repository/{{registry.repository_prefix}}/{kind}/*"
    return tuple(Permission("aws", action, resource) for action in sorted(actions))
