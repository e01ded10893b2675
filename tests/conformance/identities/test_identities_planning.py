"""Identities that plan: the same objects as the real ones write, nothing written, and what was told is read back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from agentd.core import Action, LeaseLost, PermanentError, Plan, PlannedChange, Reason
from agentd.platform import Identities, IdentitySpec
from agentd.platform.aws.session import AwsSession
from agentd.platform.local.identities import NoIdentities
from agentd.platform.planning import PlanningIdentities
from tests.conformance.identities.support import PROVIDER_ARN, SPEC, Bench, bench
from tests.conformance.registry.support import RecordingFence, aws_session, ministack, moto

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVERS = {"ministack": ministack, "moto": moto}
# The second opinion is for the slow suite.
IN_TURN = ["ministack", pytest.param("moto", marks=pytest.mark.slow)]
Work = Callable[[Identities, RecordingFence], Awaitable[object]]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=IN_TURN)
async def session(request: pytest.FixtureRequest) -> AsyncIterator[AwsSession]:
    async with SERVERS[request.param]() as endpoint_url, aws_session(endpoint_url) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def at(session: AwsSession) -> AsyncIterator[Bench]:
    async with bench(session) as made:
        yield made


async def dump(at: Bench) -> dict[str, Any]:
    """Everything that the account holds of this test's."""
    return {
        identity.name: (identity, await at.identities.state(identity.name))
        for identity in await at.identities.identities()
    }


async def planned(at: Bench, work: Work, fence: RecordingFence) -> list[PlannedChange]:
    """What the work would change. It writes nothing, and asks for nothing."""
    plan = Plan()
    asked, before = len(fence.asked), await dump(at)
    await work(PlanningIdentities(at.identities, plan), fence)
    assert await dump(at) == before
    assert len(fence.asked) == asked
    return list(plan)


async def same_as_done(at: Bench, work: Work, fence: RecordingFence) -> list[PlannedChange]:
    """What the work would change, after it has been done and has written these very objects; then there is no more to do."""
    fence.asked.clear()
    changes = await planned(at, work, fence)
    await work(at.identities, fence)
    assert {change.obj for change in changes} == {obj for obj, stamp in fence.asked if not stamp}
    assert await planned(at, work, fence) == []
    return changes


def ensuring(spec: IdentitySpec) -> Work:
    return lambda identities, fence: identities.ensure(spec, fence=fence)


def deleting(name: str) -> Work:
    return lambda identities, fence: identities.delete(name, fence=fence)


def fields(change: PlannedChange) -> dict[str, tuple[Any, Any]]:
    return {found.path: (found.before, found.after) for found in change.fields}


async def test_a_creation_is_one_change_with_everything(session: AwsSession, at: Bench) -> None:
    boundary, common, asked = [await at.hands.policy(name) for name in ("boundary", "common", "asked")]
    async with bench(session, permissions_boundary=boundary, policies=[common], max_session_s=7200) as bounded:
        (change,) = await same_as_done(bounded, ensuring(replace(SPEC, permissions=(asked,))), bounded.fence())
        assert (change.obj, change.action) == (f"iam:role/{bounded.role()}", Action.CREATE)
    assert fields(change) == {
        "trust": (None, ["dev/airflow", "dev/etl-*"]),
        "policies": (None, sorted([asked, common])),
        "boundary": (None, boundary),
        "description": (None, "Environment dev"),
        "max_session_s": (None, 7200),
    }


async def test_changes_are_told_field_by_field(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, ensuring(SPEC), fence)
    policy = await at.hands.policy("reads")
    wanted = replace(SPEC, service_accounts=(("dev", "airflow"),), permissions=(policy,), description="Another")
    (change,) = await same_as_done(at, ensuring(wanted), at.fence(fence.subject, 2))
    assert change.action is Action.CHANGE
    assert fields(change) == {
        "trust": (["dev/airflow", "dev/etl-*"], ["dev/airflow"]),
        "policies": ([], [policy]),
        "description": ("Environment dev", "Another"),
    }


async def test_a_trust_that_lets_in_others_is_told_as_it_is(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, ensuring(SPEC), fence)
    statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    await at.hands.set_trust(at.role(), {"Version": "2012-10-17", "Statement": [statement]})
    (change,) = await same_as_done(at, ensuring(SPEC), fence)
    before, after = fields(change)["trust"]
    assert "ec2.amazonaws.com" in before
    assert after == ["dev/airflow", "dev/etl-*"]


async def test_a_boundary_that_somebody_has_set_stays(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, ensuring(SPEC), fence)
    boundary = await at.hands.policy("theirs")
    await at.hands.iam.put_role_permissions_boundary(RoleName=at.role(), PermissionsBoundary=boundary)
    assert await same_as_done(at, ensuring(SPEC), fence) == []
    state = await at.identities.state("dev")
    assert state is not None
    assert state.boundary == boundary


async def test_a_stamp_alone_is_no_change(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, ensuring(SPEC), fence)
    assert await same_as_done(at, ensuring(SPEC), at.fence(fence.subject, 2)) == []


async def test_a_deletion_names_the_role_alone(at: Bench) -> None:
    fence = at.fence()
    policy = await at.hands.policy("reads")
    await same_as_done(at, ensuring(replace(SPEC, permissions=(policy,))), fence)
    await at.hands.put_inline(at.role(), "by-hand")
    assert await same_as_done(at, deleting("dev"), fence) == [PlannedChange(f"iam:role/{at.role()}", Action.DELETE)]


async def test_what_else_holds_a_role_is_named(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, ensuring(SPEC), fence)
    profile = await at.hands.put_in_profile(at.role())
    for work in (planned, same_as_done):
        with pytest.raises(PermanentError, match=rf"held by .*instance profile {profile}") as caught:
            await work(at, deleting("dev"), fence)
        assert caught.value.reason is Reason.IN_USE
    with pytest.raises(PermanentError, match=rf"held by .*instance profile {profile}"):
        await at.identities.delete("dev", fence=fence)


async def test_ownership_and_generations_are_checked(at: Bench) -> None:
    fence = at.fence(generation=2)
    await at.identities.ensure(SPEC, fence=fence)
    for work in (ensuring(SPEC), deleting("dev")):
        for foreign in (at.fence(), RecordingFence(fence.subject, "another owner", 2)):
            with pytest.raises(PermanentError) as caught:
                await planned(at, work, foreign)
            assert caught.value.reason is Reason.FOREIGN_OBJECT
        with pytest.raises(LeaseLost):
            await planned(at, work, at.fence(fence.subject, 1))
    with pytest.raises(PermanentError, match="has no service account"):
        await planned(at, ensuring(replace(SPEC, name="empty", service_accounts=())), fence)


async def test_reads_are_as_if_everything_had_been_written(at: Bench) -> None:
    fence = at.fence()
    await at.identities.ensure(SPEC, fence=fence)
    long = replace(SPEC, name="a-name-" * 12)
    planning, another = PlanningIdentities(at.identities, plan := Plan()), at.fence()
    made = await planning.ensure(long, fence=another)
    assert made is not None
    assert await planning.get(long.name) == made
    account, role = PROVIDER_ARN.split(":")[4], at.identities.object_name(long.name).removeprefix("iam:role/")
    assert made.id == f"arn:aws:iam::{account}:role{at.config.path}{role}"
    assert planning.annotations(made.id) == {"eks.amazonaws.com/role-arn": made.id}
    await planning.delete("dev", fence=fence)
    assert await planning.get("dev") is None
    assert await planning.state("dev") is None
    assert await planning.identities() == [made]
    await planning.delete(long.name, fence=another)
    assert [change.obj for change in plan] == [f"iam:role/{at.role()}"]
    again = await planning.ensure(SPEC, fence=fence)
    assert again is not None
    assert await planning.state("dev") == await at.identities.state("dev")


async def test_where_there_are_no_identities_there_is_nothing_to_plan(at: Bench) -> None:
    planning = PlanningIdentities(NoIdentities(), plan := Plan())
    assert await planning.ensure(SPEC, fence=at.fence()) is None
    await planning.delete("dev", fence=at.fence())
    assert await planning.identities() == []
    assert list(plan) == []
