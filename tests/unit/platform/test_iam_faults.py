"""Identities on IAM when the cloud misbehaves: faults are injected at the server, writes are counted there."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest
import pytest_asyncio

from agentd.core import PermanentError, Reason, TransientError
from agentd.embedded import EmbeddedCloud, Fault, FaultKind
from agentd.platform.aws.session import AwsSession
from tests.conformance.identities.support import SPEC, Bench, bench
from tests.conformance.registry.support import aws_session

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANY_POLICY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
# What each write is needed for: a setting of the adapter that differs from what the role was made with.
CHANGES: Mapping[str, Mapping[str, object]] = {
    "PutRolePermissionsBoundary": {"permissions_boundary": ANY_POLICY},
    "AttachRolePolicy": {"policies": [ANY_POLICY]},
    "UpdateRole": {"max_session_s": 7200},
    "UpdateAssumeRolePolicy": {
        "oidc_issuer_url": "https://oidc.example.com/id/5678",
        "oidc_provider_arn": "arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id/5678",
    },
}


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
    return cloud.writes(await cloud.calls(), "iam")


async def test_what_is_as_wanted_costs_no_write(at: Bench, cloud: EmbeddedCloud) -> None:
    spec = replace(SPEC, permissions=(ANY_POLICY,))
    first = at.fence()
    await at.identities.ensure(spec, fence=first)
    await cloud.reset_calls()
    await at.identities.ensure(spec, fence=at.fence(first.subject))
    assert await _writes(cloud) == {}
    await at.identities.ensure(spec, fence=at.fence(first.subject, generation=2))
    assert await _writes(cloud) == {("iam", "TagRole"): 1}


async def test_every_write_asks_the_fence_once(at: Bench, cloud: EmbeddedCloud) -> None:
    fence = at.fence()
    await at.identities.ensure(replace(SPEC, permissions=(ANY_POLICY,)), fence=fence)
    await at.identities.ensure(replace(SPEC, description="another"), fence=fence)
    await at.identities.delete("dev", fence=fence)
    assert sum((await _writes(cloud)).values()) == len(fence.asked) == 5


async def test_what_differs_is_written_and_nothing_else(session: AwsSession, at: Bench, cloud: EmbeddedCloud) -> None:
    for operation, setting in CHANGES.items():
        fence = at.fence()
        await at.identities.ensure(SPEC, fence=fence)
        async with bench(session, at.owner_id, **{**at.config.model_dump(), **setting}) as now:
            await cloud.reset_calls()
            await now.identities.ensure(SPEC, fence=fence)
            assert await _writes(cloud) == {("iam", operation): 1}
            await now.identities.delete("dev", fence=fence)


async def test_a_write_is_sent_once_however_it_fails(at: Bench, cloud: EmbeddedCloud) -> None:
    fence = at.fence()
    for kind, code in ((FaultKind.ERROR, "Throttling"), (FaultKind.DROP_BEFORE, "")):
        await cloud.reset_calls()
        await cloud.inject(Fault(kind=kind, operation="CreateRole", code=code, retry_after_s=3))
        with pytest.raises(TransientError, match=f"iam CreateRole on iam:role/{at.role()}"):
            await at.identities.ensure(SPEC, fence=fence)
        assert await _writes(cloud) == {("iam", "CreateRole"): 1}
    await at.identities.ensure(SPEC, fence=fence)


async def test_throttling_says_when_to_come_back(at: Bench, cloud: EmbeddedCloud) -> None:
    await cloud.inject(Fault(kind=FaultKind.ERROR, operation="CreateRole", code="Throttling", retry_after_s=3))
    with pytest.raises(TransientError) as caught:
        await at.identities.ensure(SPEC, fence=at.fence())
    assert (caught.value.reason, caught.value.retry_after) == (Reason.THROTTLED, 3)


async def test_a_read_that_fails_in_passing_is_repeated(at: Bench, cloud: EmbeddedCloud) -> None:
    fault = await cloud.inject(Fault(kind=FaultKind.ERROR, operation="GetRole", code="ServiceFailure", status=500))
    assert await at.identities.get("dev") is None
    assert await cloud.hits(fault) == 1


@pytest.mark.parametrize("operation", ["CreateRole", "TagRole", "AttachRolePolicy", "UpdateRole"])
async def test_after_a_lost_answer_the_effect_is_found_and_not_made_again(
    at: Bench, cloud: EmbeddedCloud, operation: str
) -> None:
    fence = at.fence()
    if operation != "CreateRole":
        await at.identities.ensure(SPEC, fence=fence)
        fence = at.fence(fence.subject, generation=2)
    spec = replace(SPEC, description="another", permissions=(ANY_POLICY,))
    await cloud.reset_calls()
    await cloud.inject(Fault(kind=FaultKind.DROP_AFTER, operation=operation))
    with pytest.raises(TransientError, match=f"iam {operation} on "):
        await at.identities.ensure(spec, fence=fence)
    made = await at.identities.ensure(spec, fence=fence)
    assert (await _writes(cloud))["iam", operation] == 1
    assert (made.subject, made.generation) == (str(fence.subject), fence.generation)


@pytest.mark.parametrize("operation", ["DetachRolePolicy", "DeleteRolePolicy", "DeleteRole"])
@pytest.mark.parametrize("kind", [FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER])
async def test_a_delete_that_broke_off_goes_on(
    at: Bench, cloud: EmbeddedCloud, operation: str, kind: FaultKind
) -> None:
    fence = at.fence()
    await at.identities.ensure(replace(SPEC, permissions=(ANY_POLICY,)), fence=fence)
    await at.hands.put_inline(at.role(), "theirs")
    await cloud.inject(Fault(kind=kind, operation=operation))
    with pytest.raises(TransientError, match=f"iam {operation} on "):
        await at.identities.delete("dev", fence=fence)
    await at.identities.delete("dev", fence=fence)
    assert await at.identities.get("dev") is None


async def test_a_role_that_somebody_else_creates_meanwhile_is_foreign(at: Bench, cloud: EmbeddedCloud) -> None:
    await at.hands.create(at.role(), {})
    await cloud.inject(Fault(kind=FaultKind.ERROR, operation="GetRole", code="NoSuchEntity", status=404))
    with pytest.raises(PermanentError) as caught:
        await at.identities.ensure(SPEC, fence=at.fence())
    assert caught.value.reason is Reason.FOREIGN_OBJECT


async def test_a_change_that_shows_late_is_waited_for(at: Bench, cloud: EmbeddedCloud) -> None:
    unseen = Fault(kind=FaultKind.ERROR, operation="GetRole", code="NoSuchEntity", status=404, times=3)
    fault = await cloud.inject(unseen)  # the first read, and two that look for the result
    made = await at.identities.ensure(SPEC, fence=at.fence())
    assert made.name == "dev"
    assert await cloud.hits(fault) == 3


async def test_a_change_that_never_shows_is_a_passing_fault(at: Bench, cloud: EmbeddedCloud) -> None:
    unseen = Fault(kind=FaultKind.ERROR, operation="GetRole", code="NoSuchEntity", status=404, times=None)
    await cloud.inject(unseen)
    with pytest.raises(TransientError, match="does not show yet"):
        await at.identities.ensure(SPEC, fence=at.fence())


async def test_a_call_ends_before_the_lease_does(at: Bench, cloud: EmbeddedCloud) -> None:
    fence = at.fence()
    fence.lease_s = 0.2
    await cloud.inject(Fault(kind=FaultKind.DELAY, operation="CreateRole", delay_s=5))
    started = asyncio.get_running_loop().time()
    with pytest.raises(TransientError, match=r"CreateRole.*no answer in time"):
        await at.identities.ensure(SPEC, fence=fence)
    assert asyncio.get_running_loop().time() - started < 3


@pytest.mark.parametrize("operation", ["GetRole", "ListAttachedRolePolicies", "CreateRole", "AttachRolePolicy"])
async def test_a_denied_call_names_the_permission(at: Bench, cloud: EmbeddedCloud, operation: str) -> None:
    await cloud.inject(
        Fault(kind=FaultKind.ERROR, operation=operation, code="AccessDenied", status=403, message="not you")
    )
    with pytest.raises(PermanentError, match=rf"may not iam:{operation}: .*not you \(request ") as caught:
        await at.identities.ensure(replace(SPEC, permissions=(ANY_POLICY,)), fence=at.fence())
    assert caught.value.reason is Reason.ACCESS_DENIED


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("LimitExceeded", PermanentError, Reason.QUOTA_EXCEEDED),
        ("MalformedPolicyDocument", PermanentError, Reason.INVALID_REQUEST),
        ("ConcurrentModification", TransientError, Reason.UNAVAILABLE),
        ("ServiceFailure", TransientError, Reason.UNAVAILABLE),
    ],
)
async def test_what_iam_refuses_is_said_in_its_words(
    at: Bench, cloud: EmbeddedCloud, code: str, kind: type[PermanentError | TransientError], reason: Reason
) -> None:
    await cloud.inject(Fault(kind=FaultKind.ERROR, operation="CreateRole", code=code, message="as is"))
    with pytest.raises(kind, match=f"{code}: as is") as caught:
        await at.identities.ensure(SPEC, fence=at.fence())
    assert caught.value.reason is reason


async def test_a_role_that_gets_a_policy_while_it_is_deleted_is_tried_again(at: Bench, cloud: EmbeddedCloud) -> None:
    fence = at.fence()
    await at.identities.ensure(SPEC, fence=fence)
    await cloud.inject(Fault(kind=FaultKind.ERROR, operation="DeleteRole", code="DeleteConflict", status=409))
    with pytest.raises(TransientError, match="DeleteConflict"):
        await at.identities.delete("dev", fence=fence)
    await at.identities.delete("dev", fence=fence)
    assert await at.identities.get("dev") is None


async def test_calls_are_measured_with_codes_of_a_closed_set(at: Bench, cloud: EmbeddedCloud) -> None:
    await cloud.inject(Fault(kind=FaultKind.ERROR, operation="CreateRole", code="Throttling"))
    fence = at.fence()
    with pytest.raises(TransientError):
        await at.identities.ensure(SPEC, fence=fence)
    await at.identities.ensure(SPEC, fence=fence)
    value = at.metrics.registry.get_sample_value
    for code in ("throttled", "ok"):
        labels = {"port": "identities", "operation": "CreateRole", "code": code}
        assert value("agentd_platform_call_duration_seconds_count", labels) == 1
