"""How long to wait before the next look or the next attempt: for all numbers."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agentd.core import RetryPolicy, Runtime
from agentd.dispatch.retries import attempt_delay_s, waiting_delay_s
from tests.virtual_time import virtual_runtime

seconds = st.floats(0, 1e6)
bounds = st.tuples(st.floats(0.01, 1e4), st.floats(0.01, 1e4)).map(sorted)
maybe_seconds = st.none() | seconds


@given(waited_s=st.floats(-1e6, 1e9), bounds=bounds, retry_after=maybe_seconds)
def test_a_wait_keeps_within_its_bounds(waited_s: float, bounds: list[float], retry_after: float | None) -> None:
    least_s, most_s = bounds
    assert least_s <= waiting_delay_s(waited_s, least_s=least_s, most_s=most_s, retry_after=retry_after) <= most_s


@given(waited_s=seconds, longer_s=seconds, bounds=bounds)
def test_who_has_waited_longer_is_looked_at_less_often(waited_s: float, longer_s: float, bounds: list[float]) -> None:
    least_s, most_s = bounds
    first = waiting_delay_s(waited_s, least_s=least_s, most_s=most_s, retry_after=None)
    assert first <= waiting_delay_s(waited_s + longer_s, least_s=least_s, most_s=most_s, retry_after=None)


@given(waited_s=seconds, bounds=bounds, retry_after=seconds)
def test_a_guess_within_the_bounds_is_taken_however_long_it_was_waited_for(
    waited_s: float, bounds: list[float], retry_after: float
) -> None:
    least_s, most_s = bounds
    wanted = min(max(retry_after, least_s), most_s)
    assert waiting_delay_s(waited_s, least_s=least_s, most_s=most_s, retry_after=retry_after) == wanted


policies = st.builds(RetryPolicy, base_s=st.floats(0.01, 100), cap_s=st.floats(0.01, 1e4))


def runtime(seed: int) -> Runtime:
    return virtual_runtime(seed=seed)


@given(policy=policies, attempt=st.integers(1, 10_000), seed=st.integers(), retry_after=maybe_seconds)
def test_an_attempt_waits_under_a_doubling_ceiling_and_as_long_as_the_provider_asks(
    policy: RetryPolicy, attempt: int, seed: int, retry_after: float | None
) -> None:
    ceiling_s = min(policy.cap_s, policy.base_s * 2.0 ** min(attempt - 1, 900))
    delay_s = attempt_delay_s(policy, attempt, runtime(seed), retry_after)
    assert (retry_after or 0) <= delay_s <= max(ceiling_s, retry_after or 0)


@given(policy=policies, attempt=st.integers(1, 50))
def test_the_jitter_is_full_it_spreads_over_all_of_the_ceiling(policy: RetryPolicy, attempt: int) -> None:
    dice, ceiling_s = runtime(7), policy.ceiling_s(attempt)
    delays = [attempt_delay_s(policy, attempt, dice, None) / ceiling_s for _ in range(200)]
    assert min(delays) < 0.1
    assert max(delays) > 0.9
    assert 0.4 < sum(delays) / len(delays) < 0.6


def test_the_dice_are_the_runtimes() -> None:
    assert attempt_delay_s(RetryPolicy(), 3, runtime(5), None) == Random(5).uniform(0, 8)
