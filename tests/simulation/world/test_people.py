"""The others in the world: what they do is done at once, and what they have planted is watched over."""

import asyncio

import pytest

from agentd.core import PermanentError, Reason
from agentd.events import EnvironmentCreate, EnvironmentDelete, EnvironmentSpec, EnvironmentUnlock, ProjectCreate
from tests.simulation.world import World
from tests.simulation.world.agent import BUILDS, ENVIRONMENT, PROJECT, Agent, growing, life, live, play, uid

CREATE = EnvironmentCreate(**ENVIRONMENT, spec=EnvironmentSpec())


def test_what_cannot_be_done_yet_is_told_as_a_missing_key() -> None:
    async def story() -> None:
        async with World(1) as world:
            people = world.people
            for act in (
                lambda: people.push("shop", BUILDS[0]),
                lambda: people.delete_repository("shop"),
                lambda: people.delete_namespace("dev"),
                lambda: people.lock("dev", "somebody", lasts_s=1),
                lambda: people.pin("dev"),
                lambda: people.unpin("dev"),
                lambda: people.workload("dev", uid(2), "web", 1),
                lambda: people.plant_inside("dev", uid(2)),
            ):
                with pytest.raises(KeyError):
                    act()
            await Agent(world).run(ProjectCreate(**PROJECT), 1)
            with pytest.raises(KeyError):
                people.plant_repository("shop")

    play(story)


def test_a_lock_is_taken_and_let_go() -> None:
    async def story() -> None:
        async with World(1) as world:
            agent = Agent(world)
            await agent.run(CREATE, 1)
            world.people.lock("dev", "somebody", lasts_s=60)
            with pytest.raises(PermanentError) as caught:
                await agent.run(EnvironmentUnlock(**ENVIRONMENT), 2)
            assert caught.value.reason is Reason.IN_USE
            world.people.unlock("dev")
            await agent.run(CREATE, 3)

    play(story)


def test_a_pinned_namespace_holds_its_deletion_up() -> None:
    async def story() -> float:
        async with World(1) as world:
            agent = Agent(world)
            await agent.run(CREATE, 1)
            world.people.pin("dev")
            asyncio.get_running_loop().call_later(100, world.people.unpin, "dev")
            await agent.run(EnvironmentDelete(**ENVIRONMENT), 2)
            return asyncio.get_running_loop().time()

    assert play(story) > 100


def test_what_the_agent_leaves_alone_is_not_disturbed() -> None:
    async def story() -> None:
        async with World(1) as world:
            world.people.plant()
            await live(Agent(world), life())
            assert world.disturbed() == []

    play(story)


def test_whatever_is_touched_of_what_was_planted_is_told() -> None:
    async def story() -> None:
        async with World(1) as world:
            world.people.plant()
            await live(Agent(world), growing())
            world._iam.shelf.put("conveyor-of-another-agent", None)
            world._kube.state.store.remove(("", "configmaps"), "dev", "of-nobody")
            found = world._kube.state.store.get(("", "namespaces"), "", "of-nobody")
            assert found is not None
            world._kube.state.store.put(("", "namespaces"), {**found, "metadata": dict(found["metadata"])})
            assert sorted(world.disturbed()) == [
                "/configmaps/dev/of-nobody",
                "/namespaces//of-nobody",
                "iam:role/conveyor-of-another-agent",
            ]

    play(story)
