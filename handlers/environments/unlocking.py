"""Breaking an environment's lock when its holder is dead."""

from agentd.core import Context, PermanentError, Reason
from agentd.platform import Cluster, ClusterDefaults
from handlers.environments.guard import moment, own_namespace
from handlers.manifests.lock import Holder, lock, lock_ref


async def break_lock(ctx: Context, name: str) -> str | None:
    """Take a dead holder out of the lock; who that was. PermanentError(in_use) for a live one; none is success.

    The Lease is made anew rather than emptied: whoever comes back from the dead and renews it by what it remembers
    of it meets a conflict.
    """
    namespace = await own_namespace(ctx, name)
    if namespace is None or namespace["metadata"].get("deletionTimestamp"):
        return None
    cluster, ref = ctx.port(Cluster), lock_ref(name)
    holder = Holder.of(await cluster.get(ref))
    if holder is not None:
        if holder.alive(ctx.now()):
            raise PermanentError(
                Reason.IN_USE,
                f"the lock of environment {name} is held by {holder.name}, who renewed it and may keep it until "
                f"{moment(holder.until)}",
            )
        await cluster.delete(ref, fence=ctx.fence)
    # Also after a crash in between.
    await cluster.apply(lock(name, ctx.port(ClusterDefaults)), fence=ctx.fence)
    return None if holder is None else holder.name
