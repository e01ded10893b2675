"""Whether an environment may be worked on: its namespace is the agent's own and there to stay, and nobody has its lock."""

from collections.abc import Mapping
from datetime import UTC, datetime

from agentd.core import Context, NotReady, PermanentError, Reason
from agentd.platform import Cluster, Manifest, ObjectRef, keys
from handlers.manifests.kinds import NAMESPACE
from handlers.manifests.lock import Holder, lock_ref


async def may_change(ctx: Context, name: str) -> None:
    """Raise unless the environment may be changed now: PermanentError(foreign_object), or NotReady with what comes first."""
    found = await own_namespace(ctx, name)
    if found is None:
        return
    if found["metadata"].get("deletionTimestamp"):
        raise NotReady(f"namespace {name} is being deleted, and the environment has to wait for it; {_blockers(found)}")
    await unlocked(ctx, name)


async def own_namespace(ctx: Context, name: str) -> Manifest | None:
    """The namespace, or None when there is none. PermanentError(foreign_object) when it is not this environment's."""
    ref = ObjectRef(NAMESPACE, name)
    found = await ctx.port(Cluster).get(ref)
    if found is None:
        return None
    labels: Mapping[str, str] = found["metadata"].get("labels") or {}
    if (labels.get(keys.OWNER_ID), labels.get(keys.ENVIRONMENT_ID)) != (ctx.fence.owner_id, ctx.subject.uuid):
        raise PermanentError(
            Reason.FOREIGN_OBJECT,
            f"{ref} belongs to {_owner(labels)}, not to {ctx.subject}; it was left untouched",
        )
    return found


async def unlocked(ctx: Context, name: str) -> None:
    """Raise NotReady when somebody beside the agent has the environment's lock, alive or dead."""
    holder = Holder.of(await ctx.port(Cluster).get(lock_ref(name)))
    if holder is None:
        return
    now = ctx.now()
    if holder.alive(now):
        raise NotReady(
            f"environment {name} is locked by {holder.name} until {moment(holder.until)}; it goes on once that one lets go",
            retry_after=max(1.0, holder.until - now),
        )
    raise NotReady(
        f"environment {name} is locked by {holder.name}, who has not renewed the lock since {moment(holder.until)}; "
        "make sure that it is gone, and send environment.unlock"
    )


def moment(seconds: float) -> str:
    """Seconds since the epoch, for people."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _owner(labels: Mapping[str, str]) -> str:
    owner = labels.get(keys.OWNER_ID)
    if owner is None:
        return "nobody known"
    environment = labels.get(keys.ENVIRONMENT_ID)
    return f"owner {owner}, environment/{environment}" if environment else f"owner {owner}"


def _blockers(namespace: Manifest) -> str:
    """What the API server says is in the way of a namespace's end."""
    status = namespace.get("status") or {}
    told = [
        condition.get("message") or condition["type"]
        for condition in status.get("conditions") or ()
        if condition.get("status") == "True"
    ]
    finalizers = namespace["metadata"].get("finalizers") or ()
    told += [f"finalizer {finalizer}" for finalizer in finalizers]
    return f"in its way: {'; '.join(told)}" if told else "nothing is told to be in its way"
