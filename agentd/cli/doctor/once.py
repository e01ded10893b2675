"""A value that several checks need: made when the first one asks."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from agentd.core import AgentError

T = TypeVar("T")


class Once(Generic[T]):
    """All who ask get the same value, or the same AgentError. Who is cancelled meanwhile leaves the work to the next one."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._made: list[T] = []
        self._error: AgentError | None = None

    async def __call__(self) -> T:
        """The value. Raises what its making raised."""
        async with self._lock:
            if self._error is not None:
                raise self._error
            if not self._made:
                try:
                    self._made.append(await self._make())
                except AgentError as error:
                    self._error = error
                    raise
            return self._made[0]
