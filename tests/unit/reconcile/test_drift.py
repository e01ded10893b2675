"""The inventory is gone through slowly, evenly and once; what differs is told once, and repaired where that is allowed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from agentd.core import Action, DriftState, Picture, PlannedChange, Reason, Subject, TransientError
from agentd.reconcile import Shards, ShardsConfig
from agentd.reconcile.drift import Drift, DriftConfig, Finding, Ports, Repair
from tests.unit.dispatch.events import create, delivery, project, uuid
from tests.unit.dispatch.test_drift import HANDLERS
from tests.unit.dispatch.test_plans import Shelf
from tests.unit.dispatch.world import Replica, World

INTERVAL_S = 1000.0
LEASE_S = 120.0
CONFIG = DriftConfig(interval_s=INTERVAL_S, shards=4, repair_pause_s=2000, repair_attempts=2)
REPAIRING = CONFIG.model_copy(update={"repair": ("project",)})


@dataclass(slots=True)
class Ground:
    """What is compared, and who is told: shared by all replicas."""

    wrong: dict[Subject, int] = field(default_factory=dict)
    """How many objects of a subject differ."""
    compared: list[tuple[float, Subject]] = field(default_factory=list)
    told: list[Finding] = field(default_factory=list)
    asked: list[Picture] = field(default_factory=list)
    mends: bool = True
    busy: bool = False
    fault: str | None = None
    refusals: int = 0
    at_once: int = 0
    most_at_once: int = 0

    async def compare(self, subject: Subject) -> Picture | None:
        """Takes its time."""
        self.compared.append((asyncio.get_running_loop().time(), subject))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.1)
        self.at_once -= 1
        if self.fault is not None:
            raise TransientError(Reason.UNAVAILABLE, self.fault)
        changes = tuple(PlannedChange(f"object-{n}", Action.CHANGE) for n in range(self.wrong.get(subject, 0)))
        return Picture(subject, 1, DriftState.DRIFTED if changes else DriftState.IN_SYNC, changes)

    async def tell(self, finding: Finding) -> None:
        """Takes it, unless the queue is down."""
        if self.refusals:
            self.refusals -= 1
            raise TransientError(Reason.UNAVAILABLE, "the queue is down")
        self.told.append(finding)

    async def ask(self, picture: Picture) -> str:
        """Somebody mends it, or somebody undoes that again."""
        self.asked.append(picture)
        if self.mends:
            del self.wrong[picture.subject]
        return uuid(len(self.asked))

    def drift(self, replica: Replica, config: DriftConfig) -> Drift:
        """One replica's."""
        return Drift(
            Ports(self.compare, self.tell, self.ask, lambda: self.busy),
            ledger=replica.ledger,
            runtime=replica.runtime,
            metrics=replica.metrics,
            health=replica.health,
            config=config,
        )


def shared(replica: Replica, drift: Drift, name: str) -> Shards:
    """A replica's part of it."""
    return Shards(
        "drift",
        CONFIG.shards,
        drift.work,
        replica=name,
        ledger=replica.ledger,
        runtime=replica.runtime,
        health=replica.health,
        config=ShardsConfig(lease_s=LEASE_S),
    )


async def inventory(world: World, subjects: int) -> Replica:
    """A replica on a ledger in which so many projects are desired."""
    replica = await world.replica(*HANDLERS, ports={Shelf: Shelf()})
    for number in range(1, subjects + 1):
        text = create(number, of=number, name=f"project-{number}")
        await replica.handle(delivery(text, message_id=f"m-{number}"))
    return replica


@asynccontextmanager
async def at_work(*shards: Shards) -> AsyncIterator[None]:
    """Until the block ends."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in shards]
        yield
        for task in tasks:
            task.cancel()


async def test_each_subject_is_compared_once_an_interval_and_evenly(world: World) -> None:
    ground, replica = Ground(), await inventory(world, 40)
    drift = ground.drift(replica, CONFIG)
    async with at_work(shared(replica, drift, "a")):
        await asyncio.sleep(INTERVAL_S * 0.999)
        first = [subject for _, subject in ground.compared]
        assert Counter(first) == Counter(project(number) for number in range(1, 41))
        tenths = Counter(int(at // (INTERVAL_S / 10)) for at, _ in ground.compared)
        assert max(tenths.values()) <= 8, "a tenth of the time takes about a tenth of them"
        await asyncio.sleep(INTERVAL_S * 2)
        assert set(Counter(subject for _, subject in ground.compared).values()) == {3}
    assert ground.most_at_once <= CONFIG.shards
    assert ground.told == []
    assert await replica.ledger.variables("drift/") == {}, "of what is well nothing is written"
    assert replica.count("drift_comparisons_total", kind="project", result="in_sync") == 120


async def test_two_replicas_share_the_inventory_and_one_takes_up_what_the_other_leaves(world: World) -> None:
    ground, one = Ground(), await inventory(world, 40)
    two = await world.replica(name="b")
    first, second = ground.drift(one, CONFIG), ground.drift(two, CONFIG)
    async with at_work(shared(two, second, "b")):
        async with at_work(shared(one, first, "a")):
            await asyncio.sleep(LEASE_S)
            ground.compared.clear()
            await asyncio.sleep(INTERVAL_S)
            assert set(Counter(subject for _, subject in ground.compared).values()) <= {1, 2}
            assert len({subject for _, subject in ground.compared}) == 40
            assert {len(first.status()["shards"]), len(second.status()["shards"])} == {2}
        await asyncio.sleep(LEASE_S / 4 + 1)
        assert len(second.status()["shards"]) == 4
        ground.compared.clear()
        await asyncio.sleep(2 * INTERVAL_S)
        assert len({subject for _, subject in ground.compared}) == 40


async def test_what_differs_is_told_once_and_when_it_is_well_again_and_a_restart_tells_nothing(world: World) -> None:
    ground, replica = Ground(), await inventory(world, 8)
    ground.wrong[project(3)] = 2
    drift = ground.drift(replica, CONFIG)
    async with at_work(shared(replica, drift, "a")):
        await asyncio.sleep(3 * INTERVAL_S)
        (told,) = ground.told
        assert (told.picture.subject, told.repair, told.event_id) == (project(3), Repair.NOT_ALLOWED, None)
        assert len(told.picture.changes) == 2
        assert told.since == told.checked_at
        assert replica.count("drift_objects", kind="project") == 2
        (shown,) = drift.status()["subjects"]
        assert shown["subject"] == str(project(3))
        assert shown["objects"] == ["object-0", "object-1"]
    assert replica.count("drift_objects", kind="project") == 0, "it holds no shard any more"
    other = await world.replica(name="b")
    async with at_work(shared(other, ground.drift(other, CONFIG), "b")):
        await asyncio.sleep(2 * INTERVAL_S)
        assert len(ground.told) == 1
        ground.wrong[project(3)] = 1
        await asyncio.sleep(1.1 * INTERVAL_S)
        assert len(ground.told[-1].picture.changes) == 1
        assert ground.told[-1].since == told.since
        del ground.wrong[project(3)]
        await asyncio.sleep(1.1 * INTERVAL_S)
    assert [finding.picture.state for finding in ground.told] == [
        DriftState.DRIFTED,
        DriftState.DRIFTED,
        DriftState.IN_SYNC,
    ]
    last = ground.told.pop()
    assert last.since is None
    assert await replica.ledger.variables("drift/") == {}


async def test_it_is_told_again_after_a_long_time(world: World) -> None:
    ground, replica = Ground(), await inventory(world, 1)
    ground.wrong[project(1)] = 1
    config = CONFIG.model_copy(update={"repeat_s": 5 * INTERVAL_S})
    async with at_work(shared(replica, ground.drift(replica, config), "a")):
        await asyncio.sleep(11 * INTERVAL_S)
    gaps = [later.checked_at - earlier.checked_at for earlier, later in pairwise(ground.told)]
    assert gaps
    assert all(5 * INTERVAL_S <= gap <= 6 * INTERVAL_S for gap in gaps)


async def test_a_report_that_was_not_taken_is_told_the_next_time(world: World) -> None:
    ground, replica = Ground(), await inventory(world, 1)
    ground.wrong[project(1)] = 1
    ground.refusals = 1
    async with at_work(shared(replica, ground.drift(replica, CONFIG), "a")):
        await asyncio.sleep(2.1 * INTERVAL_S)
    assert ground.refusals == 0
    assert len(ground.told) == 1
    assert replica.count("drift_comparisons_total", kind="project", result="failed") == 1


async def test_what_may_be_repaired_is_and_nothing_is_told_but_that(world: World) -> None:
    ground, replica = Ground(), await inventory(world, 4)
    ground.wrong[project(2)] = 1
    async with at_work(shared(replica, ground.drift(replica, REPAIRING), "a")):
        await asyncio.sleep(2.1 * INTERVAL_S)
    assert [picture.subject for picture in ground.asked] == [project(2)]
    assert [(found.picture.state, found.repair, found.event_id) for found in ground.told] == [
        (DriftState.DRIFTED, Repair.ASKED, uuid(1)),
        (DriftState.IN_SYNC, Repair.NONE, None),
    ]
    assert replica.count("drift_repairs_total", kind="project") == 1
    remembered = await replica.ledger.variables("drift/")
    assert [variable.value["repairs"] for variable in remembered.values()] == [1], "for a while"


async def test_two_controllers_do_not_undo_each_others_work_for_ever(world: World) -> None:
    ground, replica = Ground(mends=False), await inventory(world, 1)
    ground.wrong[project(1)] = 1
    async with at_work(shared(replica, ground.drift(replica, REPAIRING), "a")):
        await asyncio.sleep(20 * INTERVAL_S)
    assert len(ground.asked) == 2
    assert [found.repair for found in ground.told] == [Repair.ASKED, Repair.ASKED, Repair.GIVEN_UP]


async def test_events_go_first(world: World) -> None:
    ground, replica = Ground(busy=True), await inventory(world, 4)
    async with at_work(shared(replica, ground.drift(replica, CONFIG), "a")):
        await asyncio.sleep(3 * INTERVAL_S)
        assert ground.compared == []
        assert replica.health.ailments() == (), "waiting is no ailment"
        ground.busy = False
        await asyncio.sleep(INTERVAL_S)
        assert len({subject for _, subject in ground.compared}) == 4


async def test_a_world_that_does_not_answer_is_asked_again_in_the_next_round(world: World) -> None:
    ground, replica = Ground(fault="the cluster is away"), await inventory(world, 4)
    async with at_work(shared(replica, ground.drift(replica, CONFIG), "a")):
        await asyncio.sleep(INTERVAL_S)
        assert len(ground.compared) == 4
        assert replica.health.ailments() == ()
        ground.fault = None
        await asyncio.sleep(INTERVAL_S)
    assert replica.count("drift_comparisons_total", kind="project", result="failed") == 4
    assert replica.count("drift_comparisons_total", kind="project", result="in_sync") >= 3
