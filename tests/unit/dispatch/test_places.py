"""Running places, shared fairly between flows."""

import asyncio
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.dispatch.places import Places
from tests.virtual_time import VirtualTimeLoop, about, virtual_runtime


class Crowd:
    """Events of several flows that run for a while each; remembers when they began and ended."""

    def __init__(self, places: Places, group: asyncio.TaskGroup) -> None:
        self.places = places
        self.group = group
        self.began: dict[str, float] = {}
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def come(self, flow: str, name: str, *, runs_s: float, wait_s: float = 1e6) -> asyncio.Task[bool]:
        return self.group.create_task(self._run(flow, name, runs_s, wait_s), name=name)

    async def _run(self, flow: str, name: str, runs_s: float, wait_s: float) -> bool:
        async with self.places.place(flow, wait_s=wait_s) as placed:
            assert self.places.check() is None
            if not placed:
                return False
            self.began[name] = asyncio.get_running_loop().time()
            self.running[flow] += 1
            self.most[flow] = max(self.most[flow], self.running[flow])
            await asyncio.sleep(runs_s)
            self.running[flow] -= 1
            self.seconds[flow] += runs_s
        return True


async def test_a_flow_has_its_cap_at_most_and_a_newcomer_finds_a_place_at_once() -> None:
    places = Places(4, share=0.5, runtime=virtual_runtime())
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(places, group)
        for number in range(100):
            crowd.come("flood", f"flood-{number}", runs_s=1)
        await asyncio.sleep(10.5)
        crowd.come("other", "other-1", runs_s=1)
        await asyncio.sleep(0)
        assert crowd.began["other-1"] == about(10.5)
    assert crowd.most == {"flood": 2, "other": 1}
    assert places.used == 0


async def test_flows_that_wait_get_equal_time_whatever_their_events_take() -> None:
    places = Places(1, share=1, runtime=virtual_runtime())
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(places, group)
        tasks = [crowd.come("long", f"long-{number}", runs_s=5) for number in range(40)]
        tasks += [crowd.come("short", f"short-{number}", runs_s=0.5) for number in range(400)]
        await asyncio.sleep(100)
        assert crowd.seconds["short"] == pytest.approx(crowd.seconds["long"], abs=6)
        for task in tasks:
            task.cancel()


async def test_who_waits_too_long_goes_without_and_leaves_nothing_behind() -> None:
    places = Places(1, share=1, runtime=virtual_runtime())
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(places, group)
        crowd.come("a", "first", runs_s=10)
        assert await crowd.come("b", "second", runs_s=1, wait_s=5) is False
        assert await crowd.come("b", "third", runs_s=1, wait_s=6) is True
    assert crowd.began["third"] == about(10)
    assert places.used == 0
    assert places.check() is None


async def test_a_place_whose_task_has_ended_is_found_out() -> None:
    places = Places(2, share=1, runtime=virtual_runtime())

    async def leak() -> object:
        held = places.place("environment/1", wait_s=1)
        await held.__aenter__()
        return held

    async with asyncio.TaskGroup() as group:
        held = await group.create_task(leak(), name="delivery-7")
        assert places.check() == "a place of environment/1 is held by task delivery-7, which has ended"
    assert held is not None


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30), st.integers(0, 20)), max_size=40), st.integers(1, 5)
)
def test_everybody_is_served_and_places_are_never_idle_while_somebody_may_have_one(
    wishes: list[tuple[str, int, int]], most: int
) -> None:
    async def story() -> None:
        places = Places(most, share=0.6, runtime=virtual_runtime())
        async with asyncio.TaskGroup() as group:
            crowd = Crowd(places, group)
            for number, (flow, runs_s, comes_at) in enumerate(sorted(wishes, key=lambda wish: wish[2])):
                await asyncio.sleep(comes_at - asyncio.get_running_loop().time())
                crowd.come(flow, str(number), runs_s=runs_s)
        assert len(crowd.began) == len(wishes)
        assert places.used == 0

    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(story())
    finally:
        loop.close()
