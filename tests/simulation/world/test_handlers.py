"""The real handlers in the simulated world: what it is made for."""

import asyncio
import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.core import PermanentError, Reason
from agentd.events import EnvironmentCreate, EnvironmentSpec, PackageCreate, ProjectConfigure, ProjectCreate
from tests.simulation.world import Fault, FaultKind, Faults, Profile, World
from tests.simulation.world.agent import (
    BUILDS,
    BY_EVENT,
    ENVIRONMENT,
    PACKAGE,
    PROJECT,
    Agent,
    deploy,
    growing,
    life,
    live,
    play,
    uid,
)
from tests.simulation.world.faults import EVEN
from tests.simulation.world.memo import Memo

HORIZON_S = 60.0
LAST = (
    (ProjectCreate(**PROJECT, default_identity="shop-{{ .Env }}"), 10),
    (PackageCreate(**PACKAGE), 10),
    (ProjectConfigure(**PROJECT, settings={"size": "small"}), 11),
    (deploy(BUILDS[1]), 12),
)
ROOT = Path(__file__).parents[3]


def test_every_event_comes_to_its_end() -> None:
    async def story() -> None:
        async with World(1) as world:
            world.people.plant()
            agent = Agent(world)
            await live(agent, life())
            assert world.snapshot() == {}
            assert world.disturbed() == []
            assert world.pending == 0

    assert {type(step[0]) for step in life() if not callable(step)} == set(BY_EVENT)
    play(story)


def test_what_has_been_made_is_seen() -> None:
    async def story() -> None:
        async with World(1) as world:
            await live(Agent(world), growing())
            seen = world.snapshot()
            repository = f"{world.settings.registry.repository_prefix}/project/shop"
            project, environment = seen[f"project/{uid(1)}"], seen[f"environment/{uid(2)}"]
            assert f"ecr:repository/{repository}" in project
            images = [seen for seen in world.objects().values() if seen.kind == "Image"]
            assert all(image.obj in project for image in images)
            tags = [image.content["tags"] for image in images]
            assert tags == [[BUILDS[0]], sorted([BUILDS[1], "deployed-to.dev"])]
            assert {"kubernetes:namespace/dev", "iam:role/conveyor-environment-dev"} <= environment.keys()
            assert "kubernetes:dev/deployment/web" in environment
            assert world.objects()["kubernetes:namespace/dev"].marks.generation == 4

    play(story)


def test_the_same_event_again_changes_nothing() -> None:
    async def story() -> None:
        async with World(1) as world:
            agent = Agent(world)
            await live(agent, growing())
            written = len(world.writes)
            await live(agent, [growing()[-1]])
            assert len(world.writes) == written

    play(story)


async def _settled(seed: int, faults: Faults, memo: Memo) -> World:
    """A life among faults. When the world is healthy its last events come once more: what came late is mended by them."""
    async with World(seed, faults, memo=memo) as world:
        world.people.plant()
        agent = Agent(world)
        await live(agent, growing())
        await asyncio.sleep(max(0.0, HORIZON_S - asyncio.get_running_loop().time()) + 1.0)
        assert world.pending == 0
        for data, generation in LAST:
            await agent.run(data, generation)
    return world


def _world(seed: int, memo: Memo) -> World:
    profile = Profile(horizon_s=HORIZON_S, most=20, longest_delay_s=60.0)
    return play(lambda: _settled(seed, Faults.draw(random.Random(seed), profile), memo))


@pytest.fixture(scope="module")
def healthy() -> World:
    return play(lambda: _settled(0, Faults(), Memo(4096)))


def test_whatever_goes_wrong_it_ends_the_same(healthy: World) -> None:
    memo = Memo(4096)
    met: set[FaultKind] = set()
    for seed in range(1, 17):
        world = _world(seed, memo)
        assert world.snapshot() == healthy.snapshot(), f"seed {seed}"
        assert world.disturbed() == [], f"seed {seed}"
        met |= {fault.kind for fault in world.met}
    assert met == set(EVEN)


def test_the_seed_alone_decides_what_happens() -> None:
    """Neither what other runs have left in memory, nor the order of sets, nor the process makes a difference."""
    memo = Memo(4096)
    digests = {digest(5, memo), digest(5, memo), digest(5, Memo(0))}
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    run = [sys.executable, "-c", f"from {__name__} import digest; print(digest(5))"]
    told = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert digests == {told.stdout.strip()}
    assert digest(6, memo) not in digests


def digest(seed: int, memo: Memo | None = None) -> str:
    """Of all that a run wrote, and when."""
    world = _world(seed, memo or Memo(4096))
    return hashlib.sha256(repr([*world.writes, *sorted(world.calls.items())]).encode()).hexdigest()


def test_a_denied_call_is_the_end_of_an_event() -> None:
    async def story() -> None:
        denied = Fault(FaultKind.DENIED, "iam", "CreateRole")
        async with World(1, Faults((denied,))) as world:
            with pytest.raises(PermanentError, match="may not iam:CreateRole") as caught:
                await Agent(world).run(EnvironmentCreate(**ENVIRONMENT, spec=EnvironmentSpec()), 1)
            assert caught.value.reason is Reason.ACCESS_DENIED
            assert world.met[denied] == 1

    play(story)


def test_what_is_foreign_stays_as_it_is() -> None:
    async def story() -> None:
        async with World(1) as world:
            agent = Agent(world)
            world.people.plant_repository("shop")
            world.people.plant_role("dev")
            for event in (ProjectCreate(**PROJECT), EnvironmentCreate(**ENVIRONMENT, spec=EnvironmentSpec())):
                with pytest.raises(PermanentError) as caught:
                    await agent.run(event, 1)
                assert caught.value.reason is Reason.FOREIGN_OBJECT
            world.people.plant_namespace("dev")
            with pytest.raises(PermanentError, match="namespace/dev belongs to nobody known"):
                await agent.run(EnvironmentCreate(**ENVIRONMENT, spec=EnvironmentSpec()), 2)
            assert world.disturbed() == []
            assert not any(write.changed for write in world.writes)

    play(story)
