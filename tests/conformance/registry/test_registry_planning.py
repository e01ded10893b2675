"""A registry that plans: the same objects as the real one writes, nothing written, and what was told is read back."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from agentd.core import Action, LeaseLost, PermanentError, Plan, PlannedChange, Reason, TransientError
from agentd.platform import ImageRegistry, LifecyclePolicy, RepositoryAccess, RepositorySpec
from agentd.platform.aws.session import AwsSession
from agentd.platform.planning import PlanningRegistry
from tests.conformance.registry.support import Bench, RecordingFence, aws_session, bench, ministack, moto

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVERS = {"ministack": ministack, "moto": moto}
# The second opinion is for the slow suite.
IN_TURN = ["ministack", pytest.param("moto", marks=pytest.mark.slow)]
ACCOUNT = "111122223333"
WEEK = LifecyclePolicy()
NOBODY = RepositoryAccess()
Work = Callable[[ImageRegistry, RecordingFence], Awaitable[object]]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=IN_TURN)
async def session(request: pytest.FixtureRequest) -> AsyncIterator[AwsSession]:
    async with SERVERS[request.param]() as endpoint_url, aws_session(endpoint_url) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def at(session: AwsSession) -> AsyncIterator[Bench]:
    async with bench(session) as made:
        yield made


async def dump(at: Bench) -> dict[str, Any]:
    """Everything that the registry holds of this test's."""
    found: dict[str, Any] = {}
    for name in sorted(await at.hands.names()):
        if name.startswith(at.config.repository_prefix):
            images = sorted(await at.registry.images(name), key=lambda image: image.digest)
            found[name] = (
                await at.registry.get(name),
                await at.registry.lifecycle(name),
                await at.registry.access(name),
                images,
            )
    return found


async def planned(at: Bench, work: Work, fence: RecordingFence) -> list[PlannedChange]:
    """What the work would change. It writes nothing, and asks for nothing."""
    plan = Plan()
    asked, before = len(fence.asked), await dump(at)
    await work(PlanningRegistry(at.registry, plan), fence)
    assert await dump(at) == before
    assert len(fence.asked) == asked
    return list(plan)


async def same_as_done(at: Bench, work: Work, fence: RecordingFence) -> list[PlannedChange]:
    """What the work would change, after it has been done and has written these very objects; then there is no more to do."""
    fence.asked.clear()
    changes = await planned(at, work, fence)
    await work(at.registry, fence)
    assert {change.obj for change in changes} == {obj for obj, stamp in fence.asked if not stamp}
    assert await planned(at, work, fence) == []
    return changes


def fields(change: PlannedChange) -> dict[str, tuple[Any, Any]]:
    return {found.path: (found.before, found.after) for found in change.fields}


def bringing(
    name: str,
    lifecycle: LifecyclePolicy = WEEK,
    access: RepositoryAccess = NOBODY,
    **settings: Any,
) -> Work:
    """A repository with its policies, as handlers bring one about."""

    async def work(registry: ImageRegistry, fence: RecordingFence) -> None:
        await registry.ensure(RepositorySpec(name, **settings), fence=fence)
        await registry.ensure_lifecycle(name, lifecycle, fence=fence)
        await registry.ensure_access(name, access, fence=fence)

    return work


async def test_a_creation_is_one_change_with_everything(at: Bench) -> None:
    access = RepositoryAccess(pull=(ACCOUNT,))
    (change,) = await same_as_done(at, bringing(at.name(), access=access), at.fence())
    assert (change.obj, change.action) == (f"ecr:repository/{at.name()}", Action.CREATE)
    assert fields(change) == {
        "scan_on_push": (None, True),
        "immutable_tags": (None, True),
        "retained": (None, False),
        "lifecycle.untagged_days": (None, 7),
        "lifecycle.keep_images": (None, 500),
        "access.pull": (None, [ACCOUNT]),
    }


async def test_changes_are_told_field_by_field(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, bringing(at.name(), access=RepositoryAccess(push=(ACCOUNT,))), fence)
    later = at.fence(fence.subject, 2)
    work = bringing(at.name(), LifecyclePolicy(untagged_days=14), RepositoryAccess(pull=(ACCOUNT,)), scan_on_push=False)
    (change,) = await same_as_done(at, work, later)
    assert change.action is Action.CHANGE
    assert fields(change) == {
        "scan_on_push": (True, False),
        "lifecycle.untagged_days": (7, 14),
        "access.pull": (None, [ACCOUNT]),
        "access.push": ([ACCOUNT], None),
    }


async def test_an_account_is_the_same_however_it_is_spelt(at: Bench) -> None:
    fence = at.fence()
    root = f"arn:aws:iam::{ACCOUNT}:root"
    await same_as_done(at, bringing(at.name(), access=RepositoryAccess(pull=(ACCOUNT,))), fence)
    assert await same_as_done(at, bringing(at.name(), access=RepositoryAccess(pull=(root,))), fence) == []
    assert await at.registry.access(at.name()) == RepositoryAccess(pull=(ACCOUNT,))
    assert at.registry.spelled(RepositoryAccess(push=(root, ACCOUNT))) == RepositoryAccess(push=(ACCOUNT,))


async def test_somebody_elses_policies_are_told_as_they_are(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, bringing(at.name()), fence)
    assert await at.registry.lifecycle(at.name()) == LifecyclePolicy()
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 3}
    rules = {"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]}
    await at.hands.ecr.put_lifecycle_policy(repositoryName=at.name(), lifecyclePolicyText=json.dumps(rules))
    everybody = {"Sid": "All", "Effect": "Allow", "Principal": "*", "Action": ["ecr:BatchGetImage"]}
    policy = {"Version": "2012-10-17", "Statement": [everybody]}
    await at.hands.ecr.set_repository_policy(repositoryName=at.name(), policyText=json.dumps(policy))
    (change,) = await same_as_done(at, bringing(at.name()), fence)
    told = fields(change)
    assert "imageCountMoreThan" in told["lifecycle"][0]
    assert told["lifecycle"][1] == {"untagged_days": 7, "keep_images": 500}
    assert "BatchGetImage" in told["access"][0]
    assert told["access"][1] is None


async def test_a_stamp_alone_is_no_change(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, bringing(at.name()), fence)
    assert await same_as_done(at, bringing(at.name()), at.fence(fence.subject, 2)) == []


async def test_a_repository_that_is_left_behind_and_taken_up_again(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, bringing(at.name()), fence)
    (left,) = await same_as_done(at, lambda registry, fence: registry.retain(at.name(), fence=fence), fence)
    assert fields(left) == {"retained": (False, True)}
    (taken,) = await same_as_done(at, bringing(at.name()), fence)
    assert fields(taken) == {"retained": (True, False)}


async def test_a_deletion_names_the_repository_alone(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, bringing(at.name()), fence)
    await at.hands.push(at.name(), "build-1")

    def deleting(force: bool) -> Work:
        return lambda registry, fence: registry.delete(at.name(), force=force, fence=fence)

    with pytest.raises(PermanentError, match="still holds 1 images") as caught:
        await planned(at, deleting(False), fence)
    assert caught.value.reason is Reason.NOT_EMPTY
    assert await same_as_done(at, deleting(True), fence) == [
        PlannedChange(f"ecr:repository/{at.name()}", Action.DELETE)
    ]


async def test_marks_are_told_on_the_images_that_gain_and_lose_them(at: Bench) -> None:
    owner = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=owner)
    first, second = [await at.hands.push(at.name(), tag) for tag in ("build-1", "build-2")]
    environment = at.fence()

    def marking(tag: str) -> Work:
        return lambda registry, fence: registry.mark_deployed(at.name(), tag, "dev", fence=fence)

    def unmarking(registry: ImageRegistry, fence: RecordingFence) -> Awaitable[object]:
        return registry.unmark_deployed(at.name(), "dev", fence=fence)

    (change,) = await same_as_done(at, marking("build-1"), environment)
    assert (change.obj, fields(change)) == (f"ecr:image/{at.name()}@{first}", {"deployed_to": ([], ["dev"])})
    changes = await same_as_done(at, marking("build-2"), environment)
    assert {change.obj.rpartition("@")[2]: fields(change) for change in changes} == {
        first: {"deployed_to": (["dev"], [])},
        second: {"deployed_to": ([], ["dev"])},
    }
    for work in (
        lambda registry, fence: registry.delete(at.name(), force=True, fence=owner),
        lambda registry, fence: registry.delete_image(at.name(), "build-2", fence=fence),
    ):
        with pytest.raises(PermanentError, match="deployed to dev"):
            await planned(at, work, environment)
    (change,) = await same_as_done(at, unmarking, environment)
    assert fields(change) == {"deployed_to": (["dev"], [])}
    with pytest.raises(PermanentError) as caught:
        await planned(at, marking("build-3"), environment)
    assert caught.value.reason is Reason.IMAGE_MISSING
    (gone,) = await same_as_done(
        at, lambda registry, fence: registry.delete_image(at.name(), "build-1", fence=fence), environment
    )
    assert gone == PlannedChange(f"ecr:image/{at.name()}@{first}", Action.DELETE)


async def test_reads_are_as_if_everything_had_been_written(at: Bench) -> None:
    owner = at.fence()
    await at.registry.ensure(RepositorySpec(at.name("old")), fence=owner)
    digest = await at.hands.push(at.name("old"), "build-1")
    registry = PlanningRegistry(at.registry, plan := Plan())
    await registry.mark_deployed(at.name("old"), "build-1", "dev", fence=owner)
    (image,) = await registry.images(at.name("old"))
    assert (image.digest, image.deployed_to) == (digest, ("dev",))
    assert await registry.image(at.name("old"), "deployed-to.dev") == image
    await registry.unmark_deployed(at.name("old"), "dev", fence=owner)
    assert list(plan) == []
    await registry.delete_image(at.name("old"), digest, fence=owner)
    assert await registry.image(at.name("old"), digest) is None
    await registry.delete(at.name("old"), force=False, fence=owner)
    assert await registry.get(at.name("old")) is None
    assert await registry.images(at.name("old")) == []
    assert not await registry.delete_image(at.name("old"), digest, fence=owner)
    assert not await registry.unmark_deployed(at.name("old"), "dev", fence=owner)
    new = at.fence()
    made = await registry.ensure(RepositorySpec(at.name("new")), fence=new)
    assert await registry.get(at.name("new")) == made
    assert [repository.name for repository in await registry.repositories()] == [at.name("new")]
    with pytest.raises(TransientError, match="is not there"):
        await registry.ensure_lifecycle(at.name("old"), LifecyclePolicy(), fence=owner)
    with pytest.raises(PermanentError, match="was left untouched"):
        await registry.ensure(RepositorySpec(at.name("new")), fence=at.fence())


async def test_ownership_and_generations_are_checked(at: Bench) -> None:
    fence = at.fence(generation=2)
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    await at.hands.push(at.name(), "build-1")
    works: list[Work] = [
        bringing(at.name(), scan_on_push=False),
        lambda registry, fence: registry.ensure_lifecycle(at.name(), LifecyclePolicy(), fence=fence),
        lambda registry, fence: registry.ensure_access(at.name(), RepositoryAccess(), fence=fence),
        lambda registry, fence: registry.retain(at.name(), fence=fence),
        lambda registry, fence: registry.delete(at.name(), force=True, fence=fence),
    ]
    for work in works:
        with pytest.raises(PermanentError) as caught:
            await planned(at, work, at.fence())
        assert caught.value.reason is Reason.FOREIGN_OBJECT
        with pytest.raises(LeaseLost):
            await planned(at, work, at.fence(fence.subject, 1))
    another = RecordingFence(fence.subject, "another owner", 2)
    for work in (
        lambda registry, fence: registry.mark_deployed(at.name(), "build-1", "dev", fence=fence),
        lambda registry, fence: registry.unmark_deployed(at.name(), "dev", fence=fence),
        lambda registry, fence: registry.delete_image(at.name(), "build-1", fence=fence),
    ):
        with pytest.raises(PermanentError) as caught:
            await planned(at, work, another)
        assert caught.value.reason is Reason.FOREIGN_OBJECT
