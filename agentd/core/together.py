"""Several calls at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from agentd.core.errors import LeaseLost, PermanentError

I = TypeVar("I")  # noqa: E741 - an item
T = TypeVar("T")

# What is called has limits of its own; this one keeps memory and cancellation small with a thousand items.
AT_ONCE = 8


async def side_by_side(
    items: Iterable[I], work: Callable[[I], Awaitable[T]], *, at_once: int = AT_ONCE, name: str | None = None
) -> list[T]:
    """The results of all items in their order, so many at a time. The first error stops the rest, and is raised as it is:

    a call is tried again for what passes, and a group of errors says nothing of that. Tasks are named when `name` is given.
    """
    wanted = list(items)
    if len(wanted) == 1:
        return [await work(wanted[0])]
    slots = asyncio.Semaphore(at_once)

    async def one(item: I) -> T:
        async with slots:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item), name=name) for item in wanted]
            if tasks:
                # Not in the group's own end: a cancellation that it begins there is never taken back before Python 3.13,
                # and deadlines around this one would not know their own from it (gh-116720).
                await asyncio.wait(tasks)
    except ExceptionGroup as errors:
        raise _weightiest(errors.exceptions) from errors
    return [task.result() for task in tasks]


def _weightiest(errors: Sequence[Exception]) -> Exception:
    """Two may come at once: what nobody may go on after counts more, then what does not mend by itself."""
    for kind in (LeaseLost, PermanentError):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0]
