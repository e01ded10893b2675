"""When to try again. Pure but for the step retry, which waits."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from agentd.core import RetryPolicy, Runtime, TransientError

T = TypeVar("T")
_FIRST_PAUSE_S = 0.5


def attempt_delay_s(policy: RetryPolicy, attempt: int, runtime: Runtime, retry_after: float | None) -> float:
    """Seconds before the next attempt: full jitter under a doubling ceiling, never less than the provider asks for."""
    return max(retry_after or 0.0, runtime.full_jitter(policy.ceiling_s(attempt)))


def waiting_delay_s(waited_s: float, *, least_s: float, most_s: float, retry_after: float | None) -> float:
    """Seconds before a condition is looked at again: grows with how long it has been waited for already."""
    if retry_after is not None:
        return min(most_s, max(least_s, retry_after))
    return min(most_s, max(least_s, waited_s / 2))


async def retry_in_place(
    work: Callable[[], Awaitable[T]],
    first: TransientError,
    runtime: Runtime,
    *,
    budget_s: float,
    cap_s: float,
    on_failure: Callable[[TransientError], None],
) -> T:
    """Go on with a step whose first try has failed, until the budget is used up; then its last error is raised."""
    started = runtime.monotonic()
    last = first

    def pause_s(state: RetryCallState) -> float:
        ceiling = min(cap_s, _FIRST_PAUSE_S * 2.0**state.attempt_number)
        return max(last.retry_after or 0.0, runtime.full_jitter(ceiling))

    def out_of_budget(state: RetryCallState) -> bool:
        return runtime.monotonic() - started + state.upcoming_sleep > budget_s

    async def next_try() -> T:
        nonlocal last
        if replay:
            raise replay.pop()
        try:
            return await work()
        except TransientError as error:
            last = error
            on_failure(error)
            raise

    # The first failure is replayed as the first try, so that tenacity decides on every pause.
    replay = [first]
    retrying = AsyncRetrying(
        sleep=runtime.sleep,
        wait=pause_s,
        stop=out_of_budget,
        retry=retry_if_exception_type(TransientError),
        reraise=True,
    )
    return await retrying(next_try)
