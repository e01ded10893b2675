"""Replicas share the work: evenly, never two at the same, and what one leaves another takes up."""

import asyncio
from collections import Counter

import pytest

from agentd.core import Subject
from agentd.reconcile import Shards, ShardsConfig, shard_of
from tests.unit.dispatch.world import Replica, World

LEASE_S = 30.0
CONFIG = ShardsConfig(lease_s=LEASE_S, clock_skew_s=1.0)
COUNT = 4


class Book:
    """Who works on what at this moment, over all replicas."""

    def __init__(self) -> None:
        self.working: Counter[int] = Counter()
        self.fault: Exception | None = None

    async def work(self, shard: int) -> None:
        """For ever; never two at the same."""
        self.working[shard] += 1
        assert self.working[shard] == 1, f"two work on shard {shard}"
        try:
            while self.fault is None:
                await asyncio.sleep(0.5)
            raise self.fault
        finally:
            self.working[shard] -= 1


async def sharing(world: World, name: str, book: Book) -> tuple[Replica, Shards]:
    """A replica, and its part."""
    replica = await world.replica(name=name)
    shards = Shards(
        "test",
        COUNT,
        book.work,
        replica=name,
        ledger=replica.ledger,
        runtime=replica.runtime,
        health=replica.health,
        config=CONFIG,
    )
    return replica, shards


async def test_two_replicas_share_and_one_takes_up_at_once_what_the_other_gives_back(world: World) -> None:
    book = Book()
    (_, one), (_, two) = await sharing(world, "a", book), await sharing(world, "b", book)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(one.run())
        await asyncio.sleep(1)
        assert one.held == {0, 1, 2, 3}
        second = group.create_task(two.run())
        await asyncio.sleep(LEASE_S)
        assert (len(one.held), len(two.held)) == (2, 2)
        assert one.held | two.held == {0, 1, 2, 3}
        first.cancel()
        await asyncio.sleep(LEASE_S / 4 + 1)
        assert one.held == frozenset()
        assert two.held == {0, 1, 2, 3}, "within one renewal"
        second.cancel()
    assert not +book.working


async def test_what_a_dead_one_held_is_taken_up_after_its_lease_and_a_partitioned_one_has_stopped_by_then(
    world: World,
) -> None:
    book = Book()
    (dead, one), (_, two) = await sharing(world, "a", book), await sharing(world, "b", book)
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(one.run()), group.create_task(two.run())
        await asyncio.sleep(2 * LEASE_S)
        assert len(one.held) == 2
        await dead.ledger.close()
        await asyncio.sleep(LEASE_S * 3 / 4)
        assert len(two.held) == 2
        assert one.held == frozenset(), "before anybody else may take it up"
        await asyncio.sleep(LEASE_S / 2 + CONFIG.clock_skew_s)
        assert two.held == {0, 1, 2, 3}
        first.cancel()
        second.cancel()


async def test_work_that_fails_takes_the_whole_down_and_what_was_held_is_given_back(world: World) -> None:
    book = Book()
    replica, one = await sharing(world, "a", book)
    task = asyncio.create_task(one.run())
    await asyncio.sleep(1)
    book.fault = ValueError("a defect")
    with pytest.RaisesGroup(ValueError, ValueError, ValueError, ValueError):
        await task
    assert await replica.ledger.variable("shards/test") is None


async def test_work_that_ends_is_a_fault(world: World) -> None:
    async def work(_shard: int) -> None:
        """Nothing."""

    replica = await world.replica()
    shards = Shards(
        "test",
        1,
        work,
        replica="a",
        ledger=replica.ledger,
        runtime=replica.runtime,
        health=replica.health,
        config=CONFIG,
    )
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="the work on shard 0 of test has ended")):
        await shards.run()


def test_subjects_are_spread_over_all_shards_the_same_everywhere() -> None:
    subjects = [Subject("environment", f"00000000-0000-4000-8000-{number:012x}") for number in range(1000)]
    counts = Counter(shard_of(subject, 8) for subject in subjects)
    assert set(counts) == set(range(8))
    assert max(counts.values()) < 2 * min(counts.values())
    assert shard_of(subjects[5], 8) == 2
