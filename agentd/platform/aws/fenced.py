"""Mutating calls to APIs without a conditional write.

Each asks the fence right before it, ends before the lease does, is never repeated by the SDK, and its result is read back
(I4). A stale effect is thereby seen and mended by the newest generation.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar, cast

from agentd.core import Fence, Reason, Runtime, TransientError
from agentd.platform.aws.calls import AwsCalls

T = TypeVar("T")


class FencedWrites:
    """The writes of one port. `look_after_s` are the waits before each look at a result: how late the API may show it."""

    def __init__(self, calls: AwsCalls, *, timeout_s: float, look_after_s: Sequence[float], runtime: Runtime) -> None:
        self._calls = calls
        self._timeout_s = timeout_s
        self._look_after_s = look_after_s
        self._runtime = runtime

    async def write(
        self,
        operation: str,
        obj: str,
        request: Callable[[], Awaitable[T]],
        fence: Fence,
        *,
        stamp: bool = False,
        destroys: bool = False,
        refusals: Collection[str] = (),
    ) -> T | None:
        """One mutating call; None when the provider refuses with one of these codes. The client must not retry."""
        allowed_s = await fence.before_write(obj, stamp=stamp, destroys=destroys)
        timeout_s = min(allowed_s, self._timeout_s)
        return await self._calls.call_unless(operation, obj, request(), timeout_s=timeout_s, refusals=refusals)

    async def settled(self, obj: str, read: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> T:
        """What a read-back finds, once it is as it should be. Raises TransientError when that takes too long."""
        for wait_s in self._look_after_s:
            await self._runtime.sleep(wait_s)
            seen = await read()
            if good(seen):
                return seen
        raise TransientError(Reason.UNAVAILABLE, f"{obj} does not show yet what was written to it")

    async def shown(
        self, obj: str, read: Callable[[], Awaitable[T | None]], good: Callable[[T], bool] = lambda _: True
    ) -> T:
        """The same for what must be there."""
        seen = await self.settled(obj, read, lambda seen: seen is not None and good(seen))
        return cast("T", seen)  # None never settles
