"""When events that found no room come back."""

import pytest

from agentd.dispatch.comebacks import Comebacks
from tests.virtual_time import virtual_runtime

LEAST_S, MOST_S = 1.0, 300.0
FLOW = "environment/1"


def comebacks() -> Comebacks:
    return Comebacks(virtual_runtime(), least_s=LEAST_S, most_s=MOST_S)


async def drain(subject: Comebacks, runtime_s: float, *, events: int) -> None:
    for _ in range(events):
        await virtual_runtime().sleep(runtime_s)
        subject.left(FLOW, busy=True)


async def test_the_first_comes_back_as_soon_as_may_be() -> None:
    assert LEAST_S <= comebacks().delay_s(FLOW) <= 1.5 * LEAST_S


async def test_a_flood_comes_back_twice_as_fast_as_its_flow_makes_room() -> None:
    subject = comebacks()
    subject.delay_s(FLOW)
    await drain(subject, 0.02, events=50)
    delays = sorted(subject.delay_s(FLOW) for _ in range(10_000))
    assert delays[0] >= LEAST_S
    assert sum(delays) / len(delays) == pytest.approx(10_000 * 0.02 / 2 / 2, rel=0.05)
    in_one_second = sum(40 <= delay < 41 for delay in delays)
    assert 60 <= in_one_second <= 140, "about 100, spread evenly: a queue counts whole seconds"


async def test_nobody_is_away_for_longer_than_the_most() -> None:
    subject = comebacks()
    subject.delay_s(FLOW)
    await drain(subject, 30, events=20)
    delays = [subject.delay_s(FLOW) for _ in range(1_000)]
    assert max(delays) <= MOST_S
    assert min(delays[100:]) >= MOST_S / 3


async def test_a_pause_in_which_a_flow_had_nothing_to_do_does_not_count() -> None:
    subject = comebacks()
    subject.delay_s(FLOW)
    await drain(subject, 0.02, events=50)
    subject.left(FLOW, busy=False)
    await virtual_runtime().sleep(3600)
    await drain(subject, 0.02, events=2)
    assert max(subject.delay_s(FLOW) for _ in range(100)) <= 1.5 * (LEAST_S + 100 * 0.02)


async def test_flows_do_not_wait_for_each_other() -> None:
    subject = comebacks()
    for _ in range(10_000):
        subject.delay_s(FLOW)
    assert subject.delay_s("environment/2") <= 1.5 * LEAST_S


async def test_what_is_remembered_is_bounded() -> None:
    subject = comebacks()
    for number in range(20_000):
        subject.delay_s(f"environment/{number}")
    assert len(subject) == 10_000
