"""The end of an environment."""

from agentd.core import Context, PermanentError, Reason
from agentd.platform import Cluster, ClusterDefaults, ObjectRef
from handlers.environments import desired, guard
from handlers.manifests.kinds import NAMESPACE


async def may_delete(ctx: Context, name: str) -> None:
    """Raise unless it may be deleted: PermanentError(protected or foreign_object), or NotReady while it is locked."""
    found = await guard.own_namespace(ctx, name)
    spec = desired.spec(ctx)
    if spec is not None and spec.deletion_protection:
        raise PermanentError(
            Reason.PROTECTED, f"environment {name} is protected; send an update without deletion_protection first"
        )
    if found is not None:
        await guard.unlocked(ctx, name)


async def delete_namespace(ctx: Context, name: str) -> None:
    """Delete the namespace with everything in it. NotReady with what is in its way until it is gone."""
    await ctx.port(Cluster).delete(
        ObjectRef(NAMESPACE, name), fence=ctx.fence, wait_s=ctx.port(ClusterDefaults).delete_wait_s
    )
