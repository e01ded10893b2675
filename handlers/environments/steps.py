"""How steps are done here."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from agentd.core import Context, side_by_side
from agentd.platform import Cluster, Manifest

T = TypeVar("T")

_TELL_EVERY = 50


async def afresh(ctx: Context, step: str, look: Callable[[], Awaitable[T]]) -> T:
    """Do a step that only looks, or that finds out by itself what there is to do, in every attempt.

    Between two attempts of an event the world may change, and other events may be claimed: what an earlier attempt has
    found does not hold any more.
    """
    found: list[T] = []

    async def work() -> None:
        found.append(await look())

    await ctx.step(step, work)
    return found[-1] if found else await look()


async def apply_all(ctx: Context, manifests: Sequence[Manifest], *, in_order: bool = False) -> dict[str, int]:
    """Bring objects to what is wanted, several at a time or one after the other; how many were created, changed, stamped

    and unchanged.
    """
    cluster = ctx.port(Cluster)
    counts: Counter[str] = Counter()

    async def apply(manifest: Manifest) -> None:
        counts[(await cluster.apply(manifest, fence=ctx.fence)).value] += 1
        done = counts.total()
        if done % _TELL_EVERY == 0 or done == len(manifests):
            told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
            ctx.progress(f"{done} of {len(manifests)} objects: {told}")

    if in_order:
        for manifest in manifests:
            await apply(manifest)
    else:
        await side_by_side(manifests, apply)
    return dict(counts)
