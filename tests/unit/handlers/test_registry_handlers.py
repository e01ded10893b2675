"""Events where there is no cluster: a registry alone, on an emulated cloud. Writes are counted at its server."""

from collections.abc import AsyncIterator, Mapping
from uuid import uuid4

import pytest
import pytest_asyncio

from agentd.core import Handler, LeaseLost, PermanentError, Reason, TransientError
from agentd.embedded import EmbeddedCloud, Fault, FaultKind
from agentd.events import (
    BuildCleanup,
    PackageCreate,
    PackageDelete,
    ProjectCreate,
    ProjectDelete,
    Retention,
)
from agentd.platform.aws.session import AwsSession
from agentd.platform.aws.tags import EVENT_ID
from handlers import HANDLERS
from handlers.repositories import CREATE_STEPS
from tests.conformance.registry.support import aws_session, bench
from tests.unit.handlers.context import Control

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_EVENT: dict[type, Handler] = {handler.event: handler for handler in HANDLERS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[EmbeddedCloud]:
    async with EmbeddedCloud.start() as cloud:
        yield cloud


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(running: EmbeddedCloud) -> AsyncIterator[AwsSession]:
    async with aws_session(running.endpoint_url) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def cloud(running: EmbeddedCloud) -> EmbeddedCloud:
    await running.clear()
    await running.reset_calls()
    return running


@pytest_asyncio.fixture(loop_scope="module")
async def control(session: AwsSession, cloud: EmbeddedCloud) -> AsyncIterator[Control]:
    async with bench(session, call_timeout_s=5, pull_principals=("444455556666",)) as at:
        yield Control(at)


def project(name: str = "shop") -> ProjectCreate:
    return ProjectCreate(project_id=str(uuid4()), project_name=name)


def delete_of(data: ProjectCreate, *, force: bool = False, retention: Retention = Retention.DELETE) -> ProjectDelete:
    return ProjectDelete(project_id=data.project_id, project_name=data.project_name, force=force, retention=retention)


def cleanup_of(data: ProjectCreate, build_id: str | None = None) -> BuildCleanup:
    return BuildCleanup(build_id=build_id or str(uuid4()), project_id=data.project_id, project_name=data.project_name)


CREATE, DELETE, CLEANUP = BY_EVENT[ProjectCreate], BY_EVENT[ProjectDelete], BY_EVENT[BuildCleanup]


async def _writes(cloud: EmbeddedCloud) -> Mapping[tuple[str, str], int]:
    """Since the last look."""
    calls = await cloud.calls()
    await cloud.reset_calls()
    return cloud.writes(calls)


async def test_a_project_is_a_repository_with_everything_set(control: Control, cloud: EmbeddedCloud) -> None:
    fence = await control.run(CREATE, project())
    assert fence.changed
    assert await _writes(cloud) == {
        ("ecr", "CreateRepository"): 1,
        ("ecr", "PutLifecyclePolicy"): 1,
        ("ecr", "SetRepositoryPolicy"): 1,
    }
    name = control.at.config.defaults().name("project", "shop")
    assert name.endswith("/data-plane/project/shop")
    found = await control.at.registry.get(name)
    assert found is not None
    assert (found.scan_on_push, found.immutable_tags) == (True, True)
    assert (found.subject, found.generation) == (str(fence.subject), 1)


async def test_a_package_is_the_same_under_its_own_name(control: Control) -> None:
    package_id = str(uuid4())
    await control.run(BY_EVENT[PackageCreate], PackageCreate(package_id=package_id, package_name="lib"))
    name = control.at.config.defaults().name("package", "lib")
    found = await control.at.registry.get(name)
    assert found is not None
    assert found.subject == f"package/{package_id}"
    await control.run(BY_EVENT[PackageDelete], PackageDelete(package_id=package_id, package_name="lib"), generation=2)
    assert await control.at.registry.get(name) is None


async def test_the_same_generation_again_makes_no_write(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    await control.run(CREATE, data)
    await _writes(cloud)
    again = await control.run(CREATE, data)
    assert await _writes(cloud) == {}
    assert not again.changed


async def test_a_newer_generation_with_equal_content_makes_the_stamp_alone(
    control: Control, cloud: EmbeddedCloud
) -> None:
    data = project()
    first = await control.run(CREATE, data)
    await _writes(cloud)
    newer = await control.run(CREATE, data, generation=2)
    assert await _writes(cloud) == {("ecr", "TagResource"): 1}
    assert not newer.changed
    found = await control.at.registry.get(control.at.name("shop"))
    assert found is not None
    assert (found.generation, found.tags[EVENT_ID]) == (2, first.event_id)


async def test_drift_is_repaired_and_nothing_else_is_written(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    first = await control.run(CREATE, data)
    ecr = control.at.hands.ecr
    await ecr.put_image_tag_mutability(repositoryName=control.at.name("shop"), imageTagMutability="MUTABLE")
    await ecr.delete_lifecycle_policy(repositoryName=control.at.name("shop"))
    await ecr.set_repository_policy(repositoryName=control.at.name("shop"), policyText='{"Version":"2012-10-17"}')
    await _writes(cloud)
    repaired = await control.run(CREATE, data, event_id=first.event_id)
    assert await _writes(cloud) == {
        ("ecr", "PutImageTagMutability"): 1,
        ("ecr", "PutLifecyclePolicy"): 1,
        ("ecr", "SetRepositoryPolicy"): 1,
    }
    assert repaired.changed


async def test_throttled_twice_and_then_done(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    throttled = Fault(
        kind=FaultKind.ERROR, operation="CreateRepository", contains="shop", code="ThrottlingException", times=2
    )
    fault = await cloud.inject(throttled)
    context = control.context(CREATE, data)
    for _ in range(2):
        with pytest.raises(TransientError) as caught:
            await control.resume(CREATE, data, context)
        assert caught.value.reason is Reason.THROTTLED
        assert context.journal == {}
    await control.resume(CREATE, data, context)
    assert await cloud.hits(fault) == 2
    assert tuple(context.journal) == CREATE_STEPS


@pytest.mark.parametrize(
    ("operation", "done"),
    [
        ("CreateRepository", ()),
        ("PutLifecyclePolicy", ("create repository",)),
        ("SetRepositoryPolicy", ("create repository", "set lifecycle policy")),
    ],
)
async def test_a_lost_answer_costs_no_second_effect(
    control: Control, cloud: EmbeddedCloud, operation: str, done: tuple[str, ...]
) -> None:
    data = project()
    await cloud.inject(Fault(kind=FaultKind.DROP_AFTER, operation=operation))
    context = control.context(CREATE, data)
    with pytest.raises(TransientError):
        await control.resume(CREATE, data, context)
    assert tuple(context.journal) == done
    await control.resume(CREATE, data, context)
    assert (await _writes(cloud))["ecr", operation] == 1
    assert context.fence.changed


async def test_a_crash_before_the_journal_was_written_repeats_the_step_without_effect(
    control: Control, cloud: EmbeddedCloud
) -> None:
    data = project()
    context = control.context(CREATE, data)
    await control.resume(CREATE, data, context)
    for step in CREATE_STEPS:
        await _writes(cloud)
        del context.journal[step]
        await control.resume(CREATE, data, context)
        assert await _writes(cloud) == {}


async def test_a_foreign_repository_is_left_alone(control: Control, cloud: EmbeddedCloud) -> None:
    await control.at.hands.create(control.at.name("shop"))
    await control.at.hands.push(control.at.name("shop"), "theirs")
    await _writes(cloud)
    data = project()
    for handler, event in ((CREATE, data), (DELETE, delete_of(data, force=True))):
        with pytest.raises(PermanentError, match="nobody known") as caught:
            await control.run(handler, event)
        assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert await _writes(cloud) == {}


async def test_a_name_of_another_project_is_left_alone(control: Control, cloud: EmbeddedCloud) -> None:
    owner = project()
    await control.run(CREATE, owner)
    await _writes(cloud)
    stranger = project()
    for handler, event in ((CREATE, stranger), (DELETE, delete_of(stranger, force=True))):
        with pytest.raises(PermanentError, match=f"project/{owner.project_id}") as caught:
            await control.run(handler, event, generation=9)
        assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert await _writes(cloud) == {}


async def test_an_older_generation_stops(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    await control.run(CREATE, data, generation=5)
    await _writes(cloud)
    late = Control(control.at)  # it knows nothing of the newer claim
    for handler, event in ((CREATE, data), (DELETE, delete_of(data))):
        with pytest.raises(LeaseLost):
            await late.run(handler, event, generation=4)
    assert await _writes(cloud) == {}


async def test_delete_and_delete_again(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    await control.run(CREATE, data)
    await _writes(cloud)
    fence = await control.run(DELETE, delete_of(data), generation=2)
    assert fence.changed
    assert await _writes(cloud) == {("ecr", "DeleteRepository"): 1}
    again = await control.run(DELETE, delete_of(data), generation=2)
    assert not again.changed
    assert await _writes(cloud) == {}
    assert await control.at.registry.get(control.at.name("shop")) is None


async def test_a_create_after_the_delete_makes_it_anew(control: Control) -> None:
    data = project()
    await control.run(CREATE, data)
    await control.run(DELETE, delete_of(data), generation=2)
    fence = await control.run(CREATE, data, generation=3)
    assert fence.changed
    found = await control.at.registry.get(control.at.name("shop"))
    assert found is not None
    assert found.generation == 3


async def test_delete_refuses_images_unless_forced(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    await control.run(CREATE, data)
    await control.at.hands.push(control.at.name("shop"), "build-1")
    await _writes(cloud)
    with pytest.raises(PermanentError) as caught:
        await control.run(DELETE, delete_of(data), generation=2)
    assert caught.value.reason is Reason.NOT_EMPTY
    assert await _writes(cloud) == {}
    await control.run(DELETE, delete_of(data, force=True), generation=3)
    assert await control.at.registry.get(control.at.name("shop")) is None


@pytest.mark.parametrize(
    ("force", "retention"), [(False, Retention.DELETE), (True, Retention.DELETE), (False, Retention.RETAIN)]
)
async def test_delete_refuses_what_is_deployed(
    control: Control, cloud: EmbeddedCloud, force: bool, retention: Retention
) -> None:
    data = project()
    await control.run(CREATE, data)
    await control.at.hands.push(control.at.name("shop"), "build-1", "deployed-to.prd")
    await _writes(cloud)
    with pytest.raises(PermanentError, match="deployed to prd") as caught:
        await control.run(DELETE, delete_of(data, force=force, retention=retention), generation=2)
    assert caught.value.reason is Reason.IN_USE
    assert await _writes(cloud) == {}


async def test_a_retained_repository_stays_reserved_and_comes_back(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    await control.run(CREATE, data)
    await control.at.hands.push(control.at.name("shop"), "build-1")
    await _writes(cloud)
    leaving = delete_of(data, retention=Retention.RETAIN)
    await control.run(DELETE, leaving, generation=2)
    assert await _writes(cloud) == {("ecr", "TagResource"): 1}
    again = await control.run(DELETE, leaving, generation=2)
    assert await _writes(cloud) == {}
    assert not again.changed
    with pytest.raises(PermanentError, match=f"project/{data.project_id}"):
        await control.run(CREATE, project(), generation=1)
    await control.run(CREATE, data, generation=3)
    found = await control.at.registry.get(control.at.name("shop"))
    assert found is not None
    assert not found.retained
    assert len(await control.at.registry.images(control.at.name("shop"))) == 1


async def test_a_lost_answer_of_the_delete_is_no_failure(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    await control.run(CREATE, data)
    await _writes(cloud)
    await cloud.inject(Fault(kind=FaultKind.DROP_AFTER, operation="DeleteRepository"))
    context = control.context(DELETE, delete_of(data), generation=2)
    with pytest.raises(TransientError):
        await control.resume(DELETE, delete_of(data), context)
    await control.resume(DELETE, delete_of(data), context)
    assert await _writes(cloud) == {("ecr", "DeleteRepository"): 1}
    assert context.fence.changed


async def test_cleanup_removes_one_build_and_nothing_else(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    await control.run(CREATE, data)
    event, other = cleanup_of(data), str(uuid4())
    await control.at.hands.push(control.at.name("shop"), event.build_id, "1.2.3")
    await control.at.hands.push(control.at.name("shop"), other)
    await _writes(cloud)
    fence = await control.run(CLEANUP, event)
    assert fence.changed
    assert await _writes(cloud) == {("ecr", "BatchDeleteImage"): 1}
    assert [image.tags for image in await control.at.registry.images(control.at.name("shop"))] == [(other,)]
    again = await control.run(CLEANUP, event)
    assert not again.changed
    assert await _writes(cloud) == {}


async def test_cleanup_refuses_a_build_in_use(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    await control.run(CREATE, data)
    event = cleanup_of(data)
    await control.at.hands.push(control.at.name("shop"), event.build_id, "deployed-to.acc", "deployed-to.prd")
    await _writes(cloud)
    with pytest.raises(PermanentError, match="deployed to acc, prd") as caught:
        await control.run(CLEANUP, event)
    assert caught.value.reason is Reason.IN_USE
    assert await _writes(cloud) == {}


async def test_cleanup_of_what_is_not_there_is_success(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    without_repository = await control.run(CLEANUP, cleanup_of(data))
    await control.run(CREATE, data)
    await _writes(cloud)
    without_image = await control.run(CLEANUP, cleanup_of(data))
    assert not without_repository.changed
    assert not without_image.changed
    assert await _writes(cloud) == {}


async def test_declared_permissions_are_those_that_are_used(control: Control, cloud: EmbeddedCloud) -> None:
    data = project()
    build = str(uuid4())
    ecr, name = control.at.hands.ecr, control.at.name("shop")

    async def drift() -> None:
        await ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability="MUTABLE")
        await ecr.put_image_scanning_configuration(
            repositoryName=name, imageScanningConfiguration={"scanOnPush": False}
        )

    for handler, event, generation, before in (
        (CREATE, data, 1, None),
        (CREATE, data, 2, drift),
        (CLEANUP, cleanup_of(data, build), 1, lambda: control.at.hands.push(name, build)),
        (DELETE, delete_of(data, retention=Retention.RETAIN), 3, None),
        (DELETE, delete_of(data), 4, None),
    ):
        if before is not None:
            await before()
        await cloud.reset_calls()
        await control.run(handler, event, generation=generation)
        used = {f"{service}:{operation}" for service, operation in await cloud.calls()}
        declared = {permission.action for permission in handler.permissions}
        assert used <= declared, handler.event.__name__
