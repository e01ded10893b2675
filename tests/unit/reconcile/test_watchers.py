"""What is told of the cluster: every change, whole and in order, by one replica at a time, whatever ends in between."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from agentd.core import PermanentError, Reason, TransientError
from agentd.ledger import Ledger
from agentd.platform import Kind, Manifest
from agentd.reconcile import Shards, ShardsConfig, StateConfig
from agentd.reconcile.watchers import State, Tools, Watcher, nodes
from tests.unit.dispatch.world import Replica, World
from tests.unit.proxy.fakes import FakeCluster

LEASE_S = 30.0
CONFIG = StateConfig(interval_s=1, batch=50, resync_s=3600, save_interval_s=15)
NODE = Kind("v1", "Node")


def node(name: str, *, ready: bool = True) -> Manifest:
    """A machine."""
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {}},
        "spec": {},
        "status": {"conditions": conditions},
    }


@dataclass
class Plane:
    """The control plane: it takes what is told, drops what is late, and may be out of reach."""

    told: list[State] = field(default_factory=list)
    error: Exception | None = None
    refused: set[str] = field(default_factory=set)

    async def tell(self, states: Sequence[State]) -> Sequence[str | None]:
        await asyncio.sleep(0)
        if self.error is not None and states:
            raise self.error
        self.told += [state for state in states if state.subject not in self.refused]
        return ["too large" if state.subject in self.refused else None for state in states]

    @property
    def picture(self) -> dict[str, bool]:
        """Readiness of every node that is there, by the newest states alone."""
        newest: dict[str, State] = {}
        for state in self.told:
            if state.subject not in newest or newest[state.subject].sequence < state.sequence:
                newest[state.subject] = state
        return {name: found.content["ready"] for name, found in sorted(newest.items()) if found.content is not None}

    def take(self) -> list[str]:
        """The subjects that have been told of since the last time."""
        told, self.told = [state.subject for state in self.told], []
        return told


@dataclass
class Site:
    """A cluster, its control plane, and replicas."""

    world: World
    cluster: FakeCluster = field(default_factory=FakeCluster)
    plane: Plane = field(default_factory=Plane)

    async def replica(self, name: str = "a", ledger: Ledger | None = None, **config: Any) -> tuple[Replica, Watcher]:
        replica = await self.world.replica(name=name)
        tools = Tools(
            self.cluster,
            ledger or replica.ledger,
            self.plane.tell,
            replica.runtime,
            replica.health,
            replica.metrics,
            CONFIG.model_copy(update=config),
        )
        return replica, Watcher(nodes(), tools)

    @asynccontextmanager
    async def watching(self, name: str = "a", **config: Any) -> AsyncIterator[Replica]:
        """A replica that watches until the block ends, and has told what it found at first."""
        replica, watcher = await self.replica(name, **config)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(watcher.run())
            await asyncio.sleep(5)
            yield replica
            task.cancel()


@pytest.fixture
def site(world: World) -> Site:
    return Site(world)


async def test_changes_are_told_whole_and_what_is_equal_is_not(site: Site) -> None:
    site.cluster.put(node("one"))
    async with site.watching():
        assert site.plane.picture == {"node/one": True}
        site.plane.take()
        site.cluster.put(node("one"))
        site.cluster.put(node("two", ready=False))
        await asyncio.sleep(5)
        assert site.plane.picture == {"node/two": False}
        site.cluster.remove(node("two"))
        await asyncio.sleep(5)
        assert site.plane.take() == ["node/two", "node/two"]


async def test_a_flood_becomes_the_latest_state_of_each_subject(site: Site) -> None:
    site.cluster.put(node("one"))
    async with site.watching():
        site.plane.take()
        for number in range(1_001):
            site.cluster.put(node("one", ready=number % 2 == 1))
            site.cluster.put(node(f"n{number % 7}", ready=number >= 994))
        await asyncio.sleep(5)
        assert sorted(site.plane.picture.items()) == [
            *((f"node/n{number}", True) for number in range(7)),
            ("node/one", False),
        ]
        assert len(site.plane.take()) == 8


async def test_the_next_replica_tells_what_has_gone_meanwhile_and_nothing_that_is_known(site: Site) -> None:
    for name in ("stays", "goes", "turns"):
        site.cluster.put(node(name))
    async with site.watching("a"):
        pass
    last = max(state.sequence for state in site.plane.told)
    site.cluster.remove(node("goes"))
    site.cluster.put(node("turns", ready=False))
    site.plane.take()
    async with site.watching("b"):
        assert {(state.subject, state.content is None) for state in site.plane.told} == {
            ("node/goes", True),
            ("node/turns", False),
        }
        assert min(state.sequence for state in site.plane.told) > last


async def test_after_a_crash_what_was_told_is_told_again_and_nothing_is_lost(site: Site) -> None:
    site.cluster.put(node("saved"))
    replica, watcher = await site.replica("a")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watcher.run())
        await asyncio.sleep(40)
        site.cluster.put(node("unsaved"))
        await asyncio.sleep(3)
        # From here on the replica's ledger hears nothing of it any more.
        await replica.ledger.close()
        task.cancel()
    assert site.plane.take() == ["node/saved", "node/unsaved"]
    site.cluster.remove(node("saved"))
    async with site.watching("b"):
        assert sorted(site.plane.take()) == ["node/saved", "node/unsaved"]


async def test_a_gap_in_the_watch_is_told_as_what_it_changed(site: Site) -> None:
    site.cluster.put(node("one"))
    async with site.watching():
        site.plane.take()
        site.cluster.resync(NODE)
        await asyncio.sleep(5)
        assert site.plane.take() == []
        site.cluster.fail_watches(PermanentError(Reason.ACCESS_DENIED, "no right to watch"))
        await asyncio.sleep(0)
        site.cluster.remove(node("one"))
        site.cluster.put(node("two"))
        await asyncio.sleep(120)
        assert sorted(site.plane.take()) == ["node/one", "node/two"]


async def test_everything_is_told_again_from_time_to_time(site: Site) -> None:
    for number in range(120):
        site.cluster.put(node(f"n{number}"))
    async with site.watching(resync_s=100):
        assert len(site.plane.take()) == 120
        await asyncio.sleep(60)
        assert site.plane.take() == []
        await asyncio.sleep(100)
        told = site.plane.take()
        assert (len(told), len(set(told))) == (120, 120)


async def test_a_queue_that_is_down_is_waited_out(site: Site) -> None:
    site.plane.error = TransientError(Reason.UNAVAILABLE, "the queue is down")
    site.cluster.put(node("one"))
    async with site.watching() as replica:
        for ready in (False, True, False):
            site.cluster.put(node("one", ready=ready))
            await asyncio.sleep(30)
            assert not any(pulse.late for pulse in replica.health.pulses())
        site.plane.error = None
        await asyncio.sleep(70)
        assert site.plane.picture == {"node/one": False}
        assert site.plane.take() == ["node/one"]


async def test_what_the_queue_refuses_holds_up_nothing_else(site: Site) -> None:
    site.plane.refused = {f"node/n{number}" for number in range(60)}
    for number in range(70):
        site.cluster.put(node(f"n{number}"))
    async with site.watching():
        await asyncio.sleep(5)
        assert len(site.plane.picture) == 10
        site.plane.refused.clear()
        await asyncio.sleep(10)
        assert len(site.plane.picture) == 70


async def test_two_replicas_hand_over_on_exit_and_by_the_lease(site: Site) -> None:
    site.cluster.put(node("one"))
    runs = {}
    async with asyncio.TaskGroup() as group:
        for name in ("a", "b"):
            replica, watcher = await site.replica(name)
            shards = Shards(
                "state",
                1,
                lambda _number, watcher=watcher: watcher.run(),  # type: ignore[misc] # bound now
                replica=name,
                ledger=replica.ledger,
                runtime=replica.runtime,
                health=replica.health,
                config=ShardsConfig(lease_s=LEASE_S),
            )
            runs[name] = group.create_task(shards.run())
            await asyncio.sleep(10)
        assert site.plane.take() == ["node/one"]
        assert site.cluster.watches.total() == 1
        runs["a"].cancel()
        site.cluster.put(node("one", ready=False))
        await asyncio.sleep(LEASE_S)
        assert site.plane.picture == {"node/one": False}
        assert site.plane.take() == ["node/one"]
        runs["b"].cancel()
