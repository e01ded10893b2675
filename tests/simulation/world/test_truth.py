"""What checkers are told of each write: what it carried, what it met and left, who asked, and when."""

import asyncio

import pytest

from agentd.core import Subject, TransientError
from agentd.events import (
    EnvironmentSpec,
    EnvironmentUpdate,
    PackageCreate,
    ProjectConfigure,
    ProjectCreate,
    ProjectDelete,
)
from agentd.platform import Cluster, ImageRegistry, Manifest, ObjectRef, RepositorySpec
from agentd.telemetry import Metrics
from tests.conformance.registry.support import RecordingFence
from tests.simulation.world import Api, Fault, FaultKind, Faults, Marks, World, Write
from tests.simulation.world.agent import ENVIRONMENT, PACKAGE, PROJECT, Agent, growing, live, play, uid
from tests.virtual_time import about, virtual_runtime

SUBJECT = Subject("project", uid(1))
OWNER = "owner-1"
NAME = "conveyor/data-plane/project/shop"


def marks(generation: int, event: str = "e1", subject: Subject = SUBJECT) -> Marks:
    return Marks(OWNER, str(subject), generation, event)


def fence(generation: int, event: str = "e1", subject: Subject = SUBJECT) -> RecordingFence:
    return RecordingFence(subject, OWNER, generation, event)


def config_map(**data: str) -> Manifest:
    metadata = {"name": "x", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_a_repositorys_life() -> None:
    async def story() -> list[Write]:
        async with World(1) as world:
            heard: list[Write] = []
            world.listen(heard.append)
            ports = world.ports("a", metrics=Metrics(), runtime=virtual_runtime())
            registry = ports[ImageRegistry]
            assert isinstance(registry, ImageRegistry)
            spec = RepositorySpec(NAME)
            await registry.ensure(spec, fence=fence(1))
            await registry.ensure(spec, fence=fence(2, "e2"))
            await registry.ensure_lifecycle(NAME, spec.lifecycle, fence=fence(2, "e2"))
            await registry.delete(NAME, force=False, fence=fence(3, "e3"))
            assert heard == list(world.writes)
            return heard

    create, stamp, claim, put, delete = play(story)
    assert {write.obj for write in (create, stamp, claim, put, delete)} == {f"ecr:repository/{NAME}"}
    assert {write.api for write in (create, delete)} == {Api.UNCONDITIONAL}
    assert (create.operation, create.carried, create.before, create.after) == (
        "CreateRepository",
        marks(1),
        None,
        marks(1),
    )
    assert (stamp.operation, stamp.changed, stamp.stamp) == ("TagResource", True, True)
    assert (stamp.carried, stamp.before, stamp.after) == (Marks(generation=2), marks(1), marks(2))
    assert (claim.carried, claim.after, claim.stamp) == (Marks(event_id="e2"), marks(2, "e2"), True)
    assert (put.operation, put.carried, put.stamp) == ("PutLifecyclePolicy", Marks(), False)
    assert (delete.operation, delete.before, delete.after) == ("DeleteRepository", marks(2, "e2"), None)
    assert [write.number for write in (create, stamp, claim, put, delete)] == [0, 1, 2, 3, 4]


def test_an_objects_life() -> None:
    async def story() -> list[Write]:
        async with World(1) as world:
            cluster = world.ports("a", metrics=Metrics(), runtime=virtual_runtime())[Cluster]
            assert isinstance(cluster, Cluster)
            ref = ObjectRef.of(config_map())
            await cluster.apply(config_map(a="1"), fence=fence(1))
            await cluster.apply(config_map(a="1"), fence=fence(2, "e2"))
            await cluster.apply(config_map(a="2"), fence=fence(3, "e3"))
            await cluster.delete(ref, fence=fence(4, "e4"), wait_s=1)
            return list(world.writes)

    create, stamp, apply, delete = play(story)
    assert {write.obj for write in (create, stamp, apply, delete)} == {"kubernetes:default/configmap/x"}
    assert {write.api for write in (create, stamp)} == {Api.CONDITIONAL}
    assert (create.operation, create.carried, create.before) == ("create configmaps", marks(1), None)
    assert (stamp.operation, stamp.stamp, stamp.before, stamp.after) == ("patch configmaps", True, marks(1), marks(2))
    assert (apply.stamp, apply.before, apply.after) == (False, marks(2), marks(3, "e3"))
    assert (delete.operation, delete.carried, delete.after) == ("delete configmaps", Marks(), None)


def test_a_refused_write_is_told_with_the_providers_code() -> None:
    async def story() -> list[Write]:
        unseen = Fault(FaultKind.STALE, "ecr", "DescribeRepositories", start_s=10.0, delay_s=60.0)
        async with World(1, Faults((unseen,))) as world:
            agent = Agent(world)
            await agent.run(ProjectCreate(**PROJECT), 1)
            await asyncio.sleep(10)
            await agent.run(ProjectCreate(**PROJECT), 1)
            return [write for write in world.writes if write.refusal]

    (refused,) = play(story)
    assert (refused.operation, refused.refusal) == ("CreateRepository", "RepositoryAlreadyExistsException")
    assert refused.before is not None
    assert (refused.changed, refused.after) == (False, refused.before)


def test_a_late_delete_of_an_image_is_about_the_image_when_its_repository_has_gone() -> None:
    async def story() -> tuple[str, list[Write]]:
        late = Fault(FaultKind.LATE, "ecr", "BatchDeleteImage", delay_s=10.0)
        async with World(1, Faults((late,))) as world:
            agent = Agent(world)
            await agent.run(ProjectCreate(**PROJECT), 1)
            digest = world.people.push("shop", uid(7))
            registry = agent.ports[ImageRegistry]
            assert isinstance(registry, ImageRegistry)
            with pytest.raises(TransientError):
                await registry.delete_image(NAME, digest, fence=fence(2, "e2"))
            world.people.delete_repository("shop")
            await asyncio.sleep(11)
            return digest, [write for write in world.writes if write.late]

    digest, (refused,) = play(story)
    assert (refused.obj, refused.refusal) == (f"ecr:image/{NAME}@{digest}", "RepositoryNotFoundException")


def test_who_asked_is_known_even_where_the_api_has_no_place_for_it() -> None:
    async def story() -> list[Write]:
        async with World(1) as world:
            await Agent(world, "b").run(ProjectCreate(**PROJECT), 1)
            return list(world.writes)

    (put,) = [write for write in play(story) if write.operation == "PutLifecyclePolicy"]
    assert (put.caller.replica, put.caller.subject) == ("b", str(SUBJECT))
    assert (put.caller.event_id, put.caller.attempt) == (uid(1001), 1)


def test_it_is_known_which_writes_are_bound_to_the_state_that_was_read() -> None:
    async def story() -> set[tuple[str, bool]]:
        async with World(1) as world:
            agent = Agent(world)
            for generation in (1, 2):
                await agent.run(ProjectConfigure(**PROJECT, settings={"size": str(generation)}), generation)
            await agent.run(ProjectDelete(**PROJECT), 3)
            return {(write.operation, write.bound) for write in world.writes}

    assert play(story) == {
        ("create configmaps", False),
        ("patch configmaps", True),
        ("delete configmaps", True),
    }


def test_whoever_watches_is_told_of_a_call_and_of_the_end_of_its_wait() -> None:
    seen: list[tuple[str, bool, float]] = []

    async def story() -> None:
        hang = Fault(FaultKind.TIMEOUT_AFTER, "ecr", "CreateRepository")
        async with World(1, Faults((hang,))) as world:
            loop = asyncio.get_running_loop()
            world.watch(lambda asked, waits: seen.append((asked.operation, waits, loop.time() - asked.at)))
            await Agent(world).run(PackageCreate(**PACKAGE), 1)

    play(story)
    (_, asks, _), (operation, waits, waited_s), *_ = seen
    assert (operation, asks, waits) == ("CreateRepository", True, False)
    assert waited_s == about(5.0), "as long as the fence allows"


def test_a_late_effect_is_told_as_such() -> None:
    async def story() -> list[Write]:
        late = Fault(FaultKind.LATE, "ecr", "DeleteRepository", delay_s=30.0)
        async with World(1, Faults((late,))) as world:
            agent = Agent(world)
            await agent.run(ProjectCreate(**PROJECT), 1)
            await agent.run(ProjectDelete(**PROJECT), 2)
            await agent.run(ProjectCreate(**PROJECT), 3)
            await asyncio.sleep(60)
            return [write for write in world.writes if write.operation == "DeleteRepository"]

    in_time, late = play(story)
    assert (in_time.late, late.late) == (False, True)
    assert late.at - late.asked_at >= 30
    assert late.changed, "it took the new repository: an unconditional write cannot know better"
    assert late.before is not None
    assert late.before.generation == 3


def test_the_newest_generation_that_has_claimed_an_object_is_seen() -> None:
    async def story() -> set[int | None]:
        async with World(1) as world:
            agent = Agent(world)
            await live(agent, growing())
            await agent.run(EnvironmentUpdate(**ENVIRONMENT, spec=EnvironmentSpec()), 9)
            own = f"environment/{uid(2)}"
            applied = ("Namespace", "Role", "NetworkPolicy", "ResourceQuota")
            return {
                seen.marks.generation
                for seen in world.objects().values()
                if seen.marks.subject == own and seen.kind in applied
            }

    assert play(story) == {9}
