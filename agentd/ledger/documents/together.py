"""Several calls at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from agentd.core import Runtime

T = TypeVar("T")


async def together(
    runtime: Runtime, calls: Iterable[Callable[[], Awaitable[T]]], *, name: str, at_once: int
) -> list[T]:
    """All results, in order. The first error ends the rest, and is raised as it is."""
    room = asyncio.Semaphore(at_once)

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with room:
            return await call()

    waiting = list(calls)
    if len(waiting) == 1:
        return [await waiting[0]()]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [runtime.spawn(group, one(call), name) for call in waiting]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]
