"""Who waits for whom: locks over subjects, lanes, running places; and who does not."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from agentd.core import Context, DeadLetter, Defer, Delete, Hold, Reason, handler
from agentd.events import BuildCleanup, EventData, PackageCreate, ProjectCreate, ProjectDelete
from tests.unit.dispatch.events import cleanup, create, delete, delivery, key, package, uuid, when
from tests.unit.dispatch.world import Replica, World
from tests.virtual_time import START, about

SECONDS = 4.0


class Log:
    """Handlers that take four seconds, and when each began and ended."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.most = 0
        self.seen: list[tuple[str, float, float]] = []
        self.handlers = tuple(
            handler(event, steps=(), timeout_s=60)(self._run)
            for event in (ProjectCreate, ProjectDelete, BuildCleanup, PackageCreate)
        )

    async def _run(self, ctx: Context, _data: EventData) -> None:
        now = asyncio.get_running_loop().time
        began, name = now(), ctx.fence.event_id
        self.running.add(name)
        self.most = max(self.most, len(self.running))
        await asyncio.sleep(SECONDS)
        self.running.remove(name)
        self.seen.append((name[-2:], round(began, 3), round(now(), 3)))


async def test_a_clean_up_waits_for_its_projects_change_and_the_other_way_round(world: World) -> None:
    log = Log()
    replica = await world.replica(*log.handlers, lane_wait_s=30)
    texts = (delete(0x11, generation=2), cleanup(0x12, build=7), create(0x13, generation=3))
    given = await asyncio.gather(
        *(replica.handle(delivery(text, message_id=f"m-{number}")) for number, text in enumerate(texts))
    )
    assert given == [Delete()] * 3
    assert log.seen == [("11", 0, 4), ("12", 4, 8), ("13", 8, 12)]


async def test_clean_ups_of_one_project_share_it(world: World) -> None:
    log = Log()
    replica = await world.replica(*log.handlers)
    tasks = [
        replica.begin(delivery(cleanup(number, build=number), message_id=f"m-{number}")) for number in (0x11, 0x12)
    ]
    assert await asyncio.gather(*tasks) == [Delete(), Delete()]
    assert [(began, ended) for _, began, ended in log.seen] == [(0.0, SECONDS)] * 2


async def test_the_same_holds_over_two_replicas(world: World) -> None:
    log = Log()
    one, two = await world.replica(*log.handlers), await world.replica(*log.handlers, name="b")
    reads = one.begin_to_the_end(delivery(cleanup(0x11, build=7)))
    await one.runtime.sleep(1)
    changes = await two.to_the_end(delivery(delete(0x12, generation=2), message_id="m-2"))
    assert [type(given) for given in changes] == [Defer, Delete]
    assert await reads == [Delete()]
    assert log.seen == [("11", 0, 4), ("12", 30, 34)]

    changes_next = one.begin_to_the_end(delivery(create(0x13, generation=3), message_id="m-3"))
    await one.runtime.sleep(1)
    reads_next = await two.to_the_end(delivery(cleanup(0x14, build=9), message_id="m-4"))
    assert [type(given) for given in reads_next] == [Defer, Delete]
    assert await changes_next == [Delete()]
    assert log.seen[2:] == [("13", 34, 38), ("14", 64, 68)]


async def test_readers_on_two_replicas_share_their_project(world: World) -> None:
    log = Log()
    one, two = await world.replica(*log.handlers), await world.replica(*log.handlers, name="b")
    given = await asyncio.gather(
        one.handle(delivery(cleanup(0x11, build=7))), two.handle(delivery(cleanup(0x12, build=8), message_id="m-2"))
    )
    assert list(given) == [Delete(), Delete()]
    assert sorted(log.seen) == [("11", 0, 4), ("12", 0, 4)]


async def crowded(world: World) -> Replica:
    replica = await world.replica(*Log().handlers, lane_depth=2)
    for number in (1, 2):
        replica.begin(delivery(create(number, generation=number), message_id=f"m-{number}"))
    await replica.runtime.sleep(0.5)
    return replica


async def test_a_full_lane_gives_the_message_back_at_once_and_writes_nothing(world: World) -> None:
    replica = await crowded(world)
    given = await replica.handle(delivery(create(3, generation=3), message_id="m-3"))
    assert isinstance(given, Defer)
    assert 1 <= given.delay_s <= 2
    assert replica.runtime.monotonic() == 0.5
    assert await replica.ledger.lookup(key(3)) is None
    (away,) = replica.dispatcher.given_back()
    assert (away["event_id"], away["waits_for"], away["behind"]) == (uuid(3), Hold.LANE, None)
    await replica.runtime.sleep(given.delay_s)
    assert replica.dispatcher.given_back() == [], "it should be back"


async def test_what_comes_back_is_not_away(world: World) -> None:
    replica = await crowded(world)
    await replica.handle(delivery(create(3, generation=3), message_id="m-3"))
    await replica.runtime.sleep(4)
    assert await replica.handle(delivery(create(3, generation=3), message_id="m-3")) == Delete()
    assert replica.dispatcher.given_back() == []


@pytest.mark.parametrize(
    ("attributes", "more"),
    [
        ({}, {"receive_count": 4}),
        ({}, {"dead_letter_epoch": 1}),
    ],
    ids=["given back often enough", "redriven"],
)
async def test_what_may_not_wait_unknown_is_written_down(
    world: World, attributes: dict[str, Any], more: dict[str, Any]
) -> None:
    replica = await crowded(world)
    given = await replica.handle(delivery(create(3, generation=3, **attributes), message_id="m-3", **more))
    assert isinstance(given, Defer)
    waiting = (await replica.record(key(3))).waiting
    assert waiting is not None
    assert waiting.why == "lane"


@pytest.mark.parametrize(
    ("attributes", "more"),
    [({"expirytime": when(1.2)}, {}), ({}, {"retained_until": START + 1.2})],
    ids=["its expiry", "the queue's retention"],
)
async def test_an_event_that_finds_no_room_before_its_end_has_waited_too_long(
    world: World, attributes: dict[str, Any], more: dict[str, Any]
) -> None:
    replica = await crowded(world)
    given = await replica.handle(delivery(create(3, generation=3, **attributes), message_id="m-3", **more))
    assert isinstance(given, DeadLetter)
    assert given.reason is Reason.DEFERRED_TOO_LONG


async def test_a_wait_for_the_lane_that_is_too_long_gives_the_slot_back(world: World) -> None:
    log = Log()
    replica = await world.replica(*log.handlers, lane_wait_s=3)
    replica.begin(delivery(create(1, generation=1)))
    second = replica.begin(delivery(create(2, generation=2), message_id="m-2"))
    assert isinstance(await second, Defer)
    assert replica.runtime.monotonic() == about(3)
    assert len(replica.dispatcher.status()) == 1
    record = await replica.record(key(2))
    assert (record.attempts, record.waiting and record.waiting.why) == (0, "lane")
    await replica.runtime.sleep(2)
    assert await replica.handle(delivery(create(2, generation=2), message_id="m-2")) == Delete()


async def test_no_more_run_at_once_than_may_and_a_wait_for_a_place_is_bounded_too(world: World) -> None:
    log = Log()
    replica = await world.replica(*log.handlers, max_running=3, lane_wait_s=5)
    given = await asyncio.gather(
        *(replica.handle(delivery(create(number, of=number), message_id=f"m-{number}")) for number in range(1, 11))
    )
    assert log.most == 3
    assert [type(disposition) for disposition in given] == [Delete] * 6 + [Defer] * 4
    record = await replica.record(key(10))
    assert (record.attempts, record.waiting and record.waiting.why) == (0, "slot")
    assert replica.dispatcher.status() == []
    assert await replica.handle(delivery(create(10, of=10), message_id="m-10")) == Delete(), "every place is free again"


async def test_a_hundred_events_of_one_subject_keep_nobody_else_waiting(world: World) -> None:
    log = Log()
    replica = await world.replica(*log.handlers, max_running=2)
    for number in range(1, 101):
        replica.begin(delivery(create(number, generation=number), message_id=f"m-{number}"))
    other = replica.begin(delivery(package(200, of=9), message_id="other"))
    assert await other == Delete()
    assert replica.runtime.monotonic() == about(SECONDS)
    assert log.most == 2


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_comes_in_whatever_order_no_subject_is_held_twice(world: World, seed: int) -> None:
    """Thirty deliveries over two replicas; every one ends, and no writer ever shares its project."""
    random = Random(seed)
    writers, readers, clashes = list[str](), list[str](), list[str]()

    async def use(project_id: str, *, writes: bool) -> None:
        if project_id in writers or (writes and project_id in readers):
            clashes.append(project_id)
        users = writers if writes else readers
        users.append(project_id)
        await asyncio.sleep(random.uniform(0, 3))
        users.remove(project_id)

    @handler(ProjectCreate, steps=(), timeout_s=60)
    async def write(_ctx: Context, data: ProjectCreate) -> None:
        await use(data.project_id, writes=True)

    @handler(BuildCleanup, steps=(), timeout_s=60)
    async def read(_ctx: Context, data: BuildCleanup) -> None:
        await use(data.project_id, writes=False)

    replicas: Sequence[Replica] = [await world.replica(write, read, name=name) for name in ("a", "b")]
    tasks = []
    for number in range(1, 31):
        of = random.randint(1, 3)
        text = (
            create(number, of=of, generation=number)
            if random.random() < 0.5
            else cleanup(number, build=100 + number, of=of)
        )
        tasks.append(random.choice(replicas).begin_to_the_end(delivery(text, message_id=f"m-{number}")))
    await asyncio.gather(*tasks)
    assert clashes == []
    assert await replicas[0].leases() == 0
    for number in range(1, 31):
        assert (await replicas[0].record(key(number))).outcome is not None
