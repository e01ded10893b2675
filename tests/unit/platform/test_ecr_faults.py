"""The registry on ECR when the cloud misbehaves: faults are injected at the server, writes are counted there."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from agentd.core import PermanentError, Reason, TransientError
from agentd.embedded import EmbeddedCloud, Fault, FaultKind
from agentd.platform import LifecyclePolicy, RepositorySpec
from agentd.platform.aws.session import AwsSession
from tests.conformance.registry.support import Bench, RecordingFence, aws_session, bench, new_subject

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
async def at(session: AwsSession, cloud: EmbeddedCloud) -> AsyncIterator[Bench]:
    async with bench(session, call_timeout_s=5) as made:
        yield made


async def _writes(cloud: EmbeddedCloud) -> Mapping[tuple[str, str], int]:
    return cloud.writes(await cloud.calls(), "ecr")


async def test_a_write_is_sent_once_however_it_fails(at: Bench, cloud: EmbeddedCloud) -> None:
    fence = at.fence()
    for kind, code in ((FaultKind.ERROR, "ThrottlingException"), (FaultKind.DROP_BEFORE, "")):
        await cloud.reset_calls()
        await cloud.inject(Fault(kind=kind, operation="CreateRepository", code=code, retry_after_s=3))
        with pytest.raises(TransientError, match="ecr CreateRepository on ecr:repository/"):
            await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
        assert await _writes(cloud) == {("ecr", "CreateRepository"): 1}
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)


async def test_throttling_says_when_to_come_back(at: Bench, cloud: EmbeddedCloud) -> None:
    await cloud.inject(
        Fault(kind=FaultKind.ERROR, operation="CreateRepository", code="ThrottlingException", retry_after_s=3)
    )
    with pytest.raises(TransientError) as caught:
        await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    assert (caught.value.reason, caught.value.retry_after) == (Reason.THROTTLED, 3)


async def test_a_read_that_fails_in_passing_is_repeated(at: Bench, cloud: EmbeddedCloud) -> None:
    fault = await cloud.inject(
        Fault(kind=FaultKind.ERROR, operation="DescribeRepositories", code="ServerException", status=500)
    )
    assert await at.registry.get(at.name()) is None
    assert await cloud.hits(fault) == 1


@pytest.mark.parametrize("operation", ["CreateRepository", "PutLifecyclePolicy", "TagResource"])
async def test_after_a_lost_answer_the_effect_is_found_and_not_made_again(
    at: Bench, cloud: EmbeddedCloud, operation: str
) -> None:
    first = at.fence()
    if operation == "TagResource":
        await _make(at, first)
        first = at.fence(first.subject, generation=2)
    await cloud.reset_calls()
    await cloud.inject(Fault(kind=FaultKind.DROP_AFTER, operation=operation))
    with pytest.raises(TransientError, match=f"ecr {operation} on "):
        await _make(at, first)
    again = at.fence(first.subject, first.generation)
    again.event_id = first.event_id
    await _make(at, again)
    assert (await _writes(cloud))["ecr", operation] == 1
    found = await at.registry.get(at.name())
    assert found is not None
    assert (found.subject, found.generation) == (str(first.subject), first.generation)


async def _make(at: Bench, fence: RecordingFence) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    await at.registry.ensure_lifecycle(at.name(), LifecyclePolicy(), fence=fence)


async def test_a_repository_that_somebody_else_creates_meanwhile_is_foreign(at: Bench, cloud: EmbeddedCloud) -> None:
    await at.hands.create(at.name())
    unseen = Fault(kind=FaultKind.ERROR, operation="DescribeRepositories", code="RepositoryNotFoundException")
    await cloud.inject(unseen)
    fence = at.fence()
    with pytest.raises(PermanentError) as caught:
        await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    assert caught.value.reason is Reason.FOREIGN_OBJECT


async def test_a_change_that_shows_late_is_waited_for(at: Bench, cloud: EmbeddedCloud) -> None:
    unseen = Fault(kind=FaultKind.ERROR, operation="DescribeRepositories", code="RepositoryNotFoundException", times=3)
    fault = await cloud.inject(unseen)  # the first read, and two that look for the result
    made = await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    assert made.name == at.name()
    assert await cloud.hits(fault) == 3


async def test_a_change_that_never_shows_is_a_passing_fault(at: Bench, cloud: EmbeddedCloud) -> None:
    fence = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    none = Fault(
        kind=FaultKind.ERROR, operation="GetLifecyclePolicy", code="LifecyclePolicyNotFoundException", times=None
    )
    await cloud.inject(none)
    with pytest.raises(TransientError, match="does not show yet"):
        await at.registry.ensure_lifecycle(at.name(), LifecyclePolicy(), fence=fence)


async def test_a_call_ends_before_the_lease_does(at: Bench, cloud: EmbeddedCloud) -> None:
    fence = at.fence()
    fence.lease_s = 0.2
    await cloud.inject(Fault(kind=FaultKind.DELAY, operation="CreateRepository", delay_s=5))
    started = asyncio.get_running_loop().time()
    with pytest.raises(TransientError, match=r"CreateRepository.*no answer in time"):
        await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    assert asyncio.get_running_loop().time() - started < 3


async def test_a_denied_call_names_the_permission(at: Bench, cloud: EmbeddedCloud) -> None:
    denied = Fault(kind=FaultKind.ERROR, operation="CreateRepository", code="AccessDeniedException", message="not you")
    await cloud.inject(denied)
    with pytest.raises(PermanentError, match=r"may not ecr:CreateRepository: .*not you \(request ") as caught:
        await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    assert caught.value.reason is Reason.ACCESS_DENIED


async def test_images_that_come_while_deleting_are_not_lost(at: Bench, cloud: EmbeddedCloud) -> None:
    fence = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    await at.hands.push(at.name(), "build-1")
    await cloud.inject(Fault(kind=FaultKind.ANSWER, operation="DescribeImages", body='{"imageDetails": []}'))
    with pytest.raises(PermanentError) as caught:
        await at.registry.delete(at.name(), force=False, fence=fence)
    assert caught.value.reason is Reason.NOT_EMPTY
    assert await at.registry.image(at.name(), "build-1") is not None


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("ImageReferencedByManifestList", PermanentError, Reason.IN_USE),
        ("KmsError", TransientError, Reason.UNAVAILABLE),
    ],
)
async def test_an_entry_of_a_batch_may_fail_although_the_call_succeeds(
    at: Bench, cloud: EmbeddedCloud, code: str, kind: type[PermanentError | TransientError], reason: Reason
) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    digest = await at.hands.push(at.name(), "build-1")
    failure = {"imageId": {"imageDigest": digest}, "failureCode": code, "failureReason": "as it says"}
    body = json.dumps({"imageIds": [], "failures": [failure]})
    await cloud.inject(Fault(kind=FaultKind.ANSWER, operation="BatchDeleteImage", body=body))
    with pytest.raises(kind, match=f"BatchDeleteImage.*{code}: as it says") as caught:
        await at.registry.delete_image(at.name(), "build-1", fence=at.fence(new_subject("build")))
    assert caught.value.reason is reason


async def test_an_image_that_went_meanwhile_is_as_good_as_deleted(at: Bench, cloud: EmbeddedCloud) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    await at.hands.push(at.name(), "build-1")
    await cloud.inject(Fault(kind=FaultKind.DROP_AFTER, operation="BatchDeleteImage"))
    fence = at.fence(new_subject("build"))
    with pytest.raises(TransientError):
        await at.registry.delete_image(at.name(), "build-1", fence=fence)
    assert await at.registry.delete_image(at.name(), "build-1", fence=fence) is False
    assert fence.changed


@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        (FaultKind.DROP_BEFORE, "BatchDeleteImage"),
        (FaultKind.DROP_AFTER, "BatchDeleteImage"),
        (FaultKind.DROP_BEFORE, "PutImage"),
        (FaultKind.DROP_AFTER, "PutImage"),
    ],
)
async def test_a_mark_whose_move_broke_off_is_moved_by_the_next_attempt(
    at: Bench, cloud: EmbeddedCloud, kind: FaultKind, operation: str
) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    old = await at.hands.push(at.name(), "build-1", "deployed-to.dev")
    new = await at.hands.push(at.name(), "build-2")
    await cloud.reset_calls()
    await cloud.inject(Fault(kind=kind, operation=operation))
    fence = at.fence(new_subject("environment"))
    with pytest.raises(TransientError, match=f"ecr {operation} on ecr:image/"):
        await at.registry.mark_deployed(at.name(), "build-2", "dev", fence=fence)
    marked = await at.registry.mark_deployed(at.name(), "build-2", "dev", fence=fence)
    assert (marked.digest, set(marked.tags)) == (new, {"build-2", "deployed-to.dev"})
    left = await at.registry.image(at.name(), old)
    assert left is not None
    assert left.tags == ("build-1",)
    effects = 2 if kind is FaultKind.DROP_AFTER else 3
    assert sum((await _writes(cloud)).values()) == len(fence.asked) == effects


async def test_a_mark_stays_while_the_new_image_cannot_be_read(at: Bench, cloud: EmbeddedCloud) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    old = await at.hands.push(at.name(), "build-1", "deployed-to.dev")
    await at.hands.push(at.name(), "build-2")
    failure = {"imageId": {"imageTag": "build-2"}, "failureCode": "KmsError", "failureReason": "no key"}
    body = json.dumps({"images": [], "failures": [failure]})
    await cloud.inject(Fault(kind=FaultKind.ANSWER, operation="BatchGetImage", body=body))
    fence = at.fence(new_subject("environment"))
    with pytest.raises(TransientError, match=r"BatchGetImage.*KmsError: no key"):
        await at.registry.mark_deployed(at.name(), "build-2", "dev", fence=fence)
    left = await at.registry.image(at.name(), old)
    assert left is not None
    assert left.deployed_to == ("dev",)
    assert fence.asked == []


async def test_a_mark_that_another_image_has_meanwhile_is_a_passing_fault(at: Bench, cloud: EmbeddedCloud) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    await at.hands.push(at.name(), "build-1", "deployed-to.dev")
    await at.hands.push(at.name(), "build-2")
    fence = at.fence(new_subject("environment"))
    await cloud.inject(
        Fault(kind=FaultKind.ERROR, operation="DescribeImages", contains="deployed-to", code="ImageNotFoundException")
    )
    with pytest.raises(TransientError, match="does not show yet"):
        await at.registry.mark_deployed(at.name(), "build-2", "dev", fence=fence)
    marked = await at.registry.mark_deployed(at.name(), "build-2", "dev", fence=fence)
    assert marked.deployed_to == ("dev",)


async def test_calls_are_measured_with_codes_of_a_closed_set(at: Bench, cloud: EmbeddedCloud) -> None:
    await cloud.inject(Fault(kind=FaultKind.ERROR, operation="CreateRepository", code="ThrottlingException"))
    fence = at.fence()
    with pytest.raises(TransientError):
        await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    value = at.metrics.registry.get_sample_value
    for code in ("throttled", "ok"):
        labels = {"port": "registry", "operation": "CreateRepository", "code": code}
        assert value("agentd_platform_call_duration_seconds_count", labels) == 1


async def test_a_cancelled_call_stops_at_once(at: Bench, cloud: EmbeddedCloud) -> None:
    await cloud.inject(Fault(kind=FaultKind.DELAY, operation="CreateRepository", delay_s=4))
    work = asyncio.ensure_future(at.registry.ensure(RepositorySpec(at.name()), fence=at.fence()))
    async with asyncio.timeout(5):
        while ("ecr", "CreateRepository") not in await cloud.calls():
            await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    labels = {"port": "registry", "operation": "CreateRepository", "code": "cancelled"}
    assert at.metrics.registry.get_sample_value("agentd_platform_call_duration_seconds_count", labels) == 1


async def test_every_write_asks_the_fence_once(at: Bench, cloud: EmbeddedCloud) -> None:
    fence = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    await at.registry.ensure_lifecycle(at.name(), LifecyclePolicy(), fence=fence)
    await at.registry.retain(at.name(), fence=fence)
    await at.registry.delete(at.name(), force=True, fence=fence)
    assert sum((await _writes(cloud)).values()) == len(fence.asked) == 4
