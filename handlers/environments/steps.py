"""How steps are done here."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from agentd.core import Context, LeaseLost, PermanentError
from agentd.platform import Cluster, Manifest

I = TypeVar("I")  # noqa: E741 - an item
T = TypeVar("T")

# The ports have limits of their own; this one keeps memory and cancellation small with a thousand projects.
AT_ONCE = 8
ONE_BY_ONE = 1
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


async def side_by_side(items: Iterable[I], work: Callable[[I], Awaitable[T]], *, at_once: int = AT_ONCE) -> list[T]:
    """The results of all items in their order, so many at a time. The first error stops the rest, and is raised as it is:

    a step is tried again for what passes, and a group of errors says nothing of that.
    """
    slots = asyncio.Semaphore(at_once)

    async def one(item: I) -> T:
        async with slots:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except ExceptionGroup as errors:
        raise _weightiest(errors.exceptions) from errors
    return [task.result() for task in tasks]


async def apply_all(ctx: Context, manifests: Sequence[Manifest], *, at_once: int = AT_ONCE) -> dict[str, int]:
    """Bring objects to what is wanted; how many were created, changed, stamped and unchanged."""
    cluster = ctx.port(Cluster)
    counts: Counter[str] = Counter()

    async def apply(manifest: Manifest) -> None:
        counts[(await cluster.apply(manifest, fence=ctx.fence)).value] += 1
        done = counts.total()
        if done % _TELL_EVERY == 0 or done == len(manifests):
            told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
            ctx.progress(f"{done} of {len(manifests)} objects: {told}")

    await side_by_side(manifests, apply, at_once=at_once)
    return dict(counts)


def _weightiest(errors: Sequence[Exception]) -> Exception:
    """Two may come at once: what nobody may go on after counts more, then what does not mend by itself."""
    for kind in (LeaseLost, PermanentError):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0]
