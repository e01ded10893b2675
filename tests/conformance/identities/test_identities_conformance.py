"""The identity port, sentence by sentence, on every adapter and server.

Where a server is wrong, WAIVERS says so: the test must then fail there, so that a mended server shows.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from agentd.core import LeaseLost, PermanentError, Reason
from agentd.platform import IdentitySpec, Trust
from agentd.platform.aws.session import AwsSession
from agentd.platform.aws.tags import AGENT, EVENT_ID, GENERATION, MANAGED_BY, OWNER_ID, SUBJECT
from tests.conformance.identities.support import ISSUER, PROVIDER_ARN, SPEC, Bench, bench
from tests.conformance.registry.support import aws_session, ministack, moto, new_subject

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVERS = {"ministack": ministack, "moto": moto}
# The second opinion is for the slow suite.
IN_TURN = ["ministack", pytest.param("moto", marks=pytest.mark.slow)]
WAIVERS = {
    ("ministack", "test_listings_are_read_page_by_page"): "ministack gives every listing whole, whatever MaxItems says",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=IN_TURN)
async def session(request: pytest.FixtureRequest) -> AsyncIterator[AwsSession]:
    async with SERVERS[request.param]() as endpoint_url, aws_session(endpoint_url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def waiver(request: pytest.FixtureRequest) -> None:
    reason = WAIVERS.get((request.node.callspec.params["session"], request.node.originalname))
    if reason is not None:
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))


@pytest_asyncio.fixture(loop_scope="module")
async def at(session: AwsSession) -> AsyncIterator[Bench]:
    async with bench(session) as made:
        yield made


async def test_ensure_creates_a_role_with_everything(session: AwsSession, at: Bench) -> None:
    boundary, common, asked = [await at.hands.policy(name) for name in ("boundary", "common", "asked")]
    async with bench(session, permissions_boundary=boundary, policies=[common], max_session_s=7200) as bounded:
        fence = bounded.fence()
        made = await bounded.identities.ensure(replace(SPEC, permissions=(asked,)), fence=fence)
        assert made == await bounded.identities.get("dev")
        role = await at.hands.role(bounded.role())
    assert (made.name, made.owner_id, made.subject, made.generation) == ("dev", fence.owner_id, str(fence.subject), 1)
    assert (made.tags[MANAGED_BY], made.tags[EVENT_ID]) == (AGENT, fence.event_id)
    path = bounded.config.path
    assert made.id == role["Arn"]
    assert made.id.endswith(f":role{path}{bounded.role()}")
    assert (role["Path"], role["Description"], role["MaxSessionDuration"]) == (path, "Environment dev", 7200)
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    assert await at.hands.attached(bounded.role()) == {common, asked}
    assert fence.asked == [(f"iam:role/{bounded.role()}", False)] * 3


async def test_the_clusters_service_accounts_may_become_it_and_nobody_else(at: Bench) -> None:
    await at.identities.ensure(SPEC, fence=at.fence())
    exact, pattern = (await at.hands.trust(at.role()))["Statement"]
    for statement in (exact, pattern):
        assert statement["Principal"] == {"Federated": PROVIDER_ARN}
        assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRoleWithWebIdentity")
        assert statement["Condition"]["StringEquals"][f"{ISSUER}:aud"] == "sts.amazonaws.com"
    assert exact["Condition"]["StringEquals"][f"{ISSUER}:sub"] == "system:serviceaccount:dev:airflow"
    assert pattern["Condition"]["StringLike"] == {f"{ISSUER}:sub": "system:serviceaccount:dev:etl-*"}


async def test_an_identity_that_nobody_may_become_is_refused(at: Bench) -> None:
    fence = at.fence()
    with pytest.raises(PermanentError, match="dev has no service account") as caught:
        await at.identities.ensure(IdentitySpec("dev", ()), fence=fence)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert fence.asked == []


async def test_ensure_again_asks_for_no_write(at: Bench) -> None:
    spec = replace(SPEC, permissions=(await at.hands.policy("asked"),))
    first = at.fence()
    made = await at.identities.ensure(spec, fence=first)
    again = at.fence(first.subject)
    assert await at.identities.ensure(spec, fence=again) == made
    assert again.asked == []


async def test_an_identity_without_a_description_is_left_alone_too(at: Bench) -> None:
    spec = IdentitySpec("dev", (("dev", "airflow"),))
    first = at.fence()
    await at.identities.ensure(spec, fence=first)
    again = at.fence(first.subject)
    await at.identities.ensure(spec, fence=again)
    assert again.asked == []


async def test_a_newer_generation_with_equal_content_stamps_alone(at: Bench) -> None:
    first = at.fence()
    await at.identities.ensure(SPEC, fence=first)
    newer = at.fence(first.subject, generation=2)
    made = await at.identities.ensure(SPEC, fence=newer)
    assert newer.asked == [(f"iam:role/{at.role()}", True)]
    assert not newer.changed
    assert (made.generation, made.tags[EVENT_ID]) == (2, first.event_id)


async def test_trust_of_equal_meaning_is_left_alone(at: Bench) -> None:
    first = at.fence()
    await at.identities.ensure(SPEC, fence=first)
    document = await at.hands.trust(at.role())
    statements = [{**found, "Action": [found["Action"]]} for found in reversed(document["Statement"])]
    await at.hands.set_trust(at.role(), {"Statement": statements, "Version": document["Version"]})
    again = at.fence(first.subject)
    await at.identities.ensure(SPEC, fence=again)
    assert again.asked == []


async def test_trust_that_drifted_is_brought_back(at: Bench) -> None:
    first = at.fence()
    await at.identities.ensure(SPEC, fence=first)
    wanted = await at.hands.trust(at.role())
    drifted: dict[str, Any] = {
        **wanted,
        "Statement": [*wanted["Statement"], {**wanted["Statement"][0], "Condition": {}}],
    }
    await at.hands.set_trust(at.role(), drifted)
    again = at.fence(first.subject)
    made = await at.identities.ensure(SPEC, fence=again)
    assert await at.hands.trust(at.role()) == wanted
    assert again.changed
    assert made.tags[EVENT_ID] == again.event_id


async def test_policies_are_exactly_those_that_are_wanted(at: Bench) -> None:
    one, two, theirs = [await at.hands.policy(name) for name in ("one", "two", "theirs")]
    first = at.fence()
    await at.identities.ensure(replace(SPEC, permissions=(one,)), fence=first)
    await at.hands.iam.attach_role_policy(RoleName=at.role(), PolicyArn=theirs)
    again = at.fence(first.subject)
    await at.identities.ensure(replace(SPEC, permissions=(two, one)), fence=again)
    assert await at.hands.attached(at.role()) == {one, two}
    assert [stamp for _, stamp in again.asked] == [True, False, False]


async def test_policies_that_are_part_of_the_role_are_left_alone(at: Bench) -> None:
    first = at.fence()
    await at.identities.ensure(SPEC, fence=first)
    await at.hands.put_inline(at.role(), "theirs")
    again = at.fence(first.subject)
    await at.identities.ensure(SPEC, fence=again)
    assert again.asked == []
    assert (await at.hands.iam.list_role_policies(RoleName=at.role()))["PolicyNames"] == ["theirs"]


async def test_description_and_length_of_sessions_are_brought_back(at: Bench) -> None:
    first = at.fence()
    await at.identities.ensure(SPEC, fence=first)
    await at.hands.iam.update_role(RoleName=at.role(), Description="mine", MaxSessionDuration=43200)
    await at.identities.ensure(SPEC, fence=at.fence(first.subject))
    role = await at.hands.role(at.role())
    assert (role["Description"], role["MaxSessionDuration"]) == ("Environment dev", 3600)


async def test_a_boundary_is_brought_back_and_never_lifted(session: AwsSession, at: Bench) -> None:
    wanted, theirs = [await at.hands.policy(name) for name in ("wanted", "theirs")]

    async def boundary(at: Bench) -> str:
        return (await at.hands.role(at.role()))["PermissionsBoundary"]["PermissionsBoundaryArn"]

    async with bench(session, permissions_boundary=wanted) as bounded:
        fence = bounded.fence()
        await bounded.identities.ensure(SPEC, fence=fence)
        for drift in (theirs, None):
            role = bounded.role()
            if drift is None:
                await at.hands.iam.delete_role_permissions_boundary(RoleName=role)
            else:
                await at.hands.iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=drift)
            await bounded.identities.ensure(SPEC, fence=fence)
            assert await boundary(bounded) == wanted
    fence = at.fence()
    await at.identities.ensure(SPEC, fence=fence)
    await at.hands.iam.put_role_permissions_boundary(RoleName=at.role(), PermissionsBoundary=theirs)
    again = at.fence(fence.subject)
    await at.identities.ensure(SPEC, fence=again)
    assert again.asked == []
    assert await boundary(at) == theirs


async def test_an_older_generation_loses(at: Bench) -> None:
    newer = at.fence(generation=5)
    await at.identities.ensure(SPEC, fence=newer)
    older = at.fence(newer.subject, generation=4)
    for late in (
        at.identities.ensure(replace(SPEC, description="older"), fence=older),
        at.identities.delete("dev", fence=older),
    ):
        with pytest.raises(LeaseLost, match="carries generation 5"):
            await late
    assert older.asked == []


async def test_a_lost_lease_writes_nothing(at: Bench) -> None:
    fence = at.fence()
    fence.lost = True
    with pytest.raises(LeaseLost):
        await at.identities.ensure(SPEC, fence=fence)
    assert await at.identities.get("dev") is None
    await at.identities.ensure(SPEC, fence=at.fence(fence.subject))
    with pytest.raises(LeaseLost):
        await at.identities.delete("dev", fence=fence)
    assert await at.identities.get("dev") is not None


@pytest.mark.parametrize("owner", ["nobody", "another agent", "another subject"])
async def test_what_is_foreign_stays_as_it_is(at: Bench, owner: str) -> None:
    stranger = str(new_subject())
    tags = {
        "nobody": {},
        "another agent": {MANAGED_BY: AGENT, OWNER_ID: "somebody-else", SUBJECT: stranger, GENERATION: "1"},
        "another subject": {MANAGED_BY: AGENT, OWNER_ID: at.owner_id, SUBJECT: stranger, GENERATION: "1"},
    }[owner]
    await at.hands.create(at.role(), tags)
    before = await at.hands.role(at.role())
    fence = at.fence(generation=9)
    named = {"nobody": "nobody known", "another agent": "somebody-else", "another subject": stranger}[owner]
    for refused in (at.identities.ensure(SPEC, fence=fence), at.identities.delete("dev", fence=fence)):
        with pytest.raises(PermanentError, match=named) as caught:
            await refused
        assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert await at.hands.role(at.role()) == before
    assert fence.asked == []


async def test_marks_are_shown_of_own_identities_alone(at: Bench) -> None:
    await at.hands.create(at.role("theirs"), {OWNER_ID: "somebody-else", GENERATION: "7"})
    theirs = await at.identities.get("theirs")
    assert theirs is not None
    assert (theirs.owner_id, theirs.subject, theirs.generation) == (None, None, None)
    assert theirs.tags[OWNER_ID] == "somebody-else"


async def test_own_identities_are_listed_and_no_others(at: Bench) -> None:
    made = [
        await at.identities.ensure(IdentitySpec(name, (("dev", "airflow"),)), fence=at.fence())
        for name in ("one", "two")
    ]
    await at.hands.create(at.role("theirs"), {})
    await at.hands.create(f"elsewhere-{at.owner_id}", {MANAGED_BY: AGENT, OWNER_ID: at.owner_id})
    listed = await at.identities.identities()
    assert sorted(listed, key=lambda found: found.name) == made


async def test_listings_are_read_page_by_page(session: AwsSession) -> None:
    async with bench(session, page_size=2, parallel_reads=2) as at:
        policies = [await at.hands.policy(f"policy{number}") for number in range(5)]
        names = [f"env{number}" for number in range(5)]
        for name in names:
            spec = IdentitySpec(name, (("dev", "airflow"),), permissions=tuple(policies))
            await at.identities.ensure(spec, fence=at.fence())
        before = _calls(at, "ListRoles")
        assert sorted(found.name for found in await at.identities.identities()) == names
        assert _calls(at, "ListRoles") - before == 3


def _calls(at: Bench, operation: str) -> int:
    labels = {"port": "identities", "operation": operation, "code": "ok"}
    return int(at.metrics.registry.get_sample_value("agentd_platform_call_duration_seconds_count", labels) or 0)


async def test_a_name_that_is_too_long_is_shortened_the_same_way_each_time(at: Bench) -> None:
    names = [f"{'environment' * 6}-{number}" for number in range(2)]
    specs = [IdentitySpec(name, (("dev", "airflow"),)) for name in names]
    fences = [at.fence(), at.fence()]
    made = [await at.identities.ensure(spec, fence=fence) for spec, fence in zip(specs, fences, strict=True)]
    assert len({identity.id for identity in made}) == 2
    assert [identity.name for identity in made] == names
    assert [await at.identities.get(name) for name in names] == made
    again = at.fence(fences[0].subject)
    assert await at.identities.ensure(specs[0], fence=again) == made[0]
    assert again.asked == []
    listed = await at.identities.identities()
    assert {identity.id for identity in listed} == {identity.id for identity in made}
    assert [await at.identities.get(identity.name) for identity in listed] == listed


async def test_delete_and_again(at: Bench) -> None:
    fence = at.fence()
    await at.identities.ensure(SPEC, fence=fence)
    leaving = at.fence(fence.subject, generation=2)
    await at.identities.delete("dev", fence=leaving)
    assert await at.identities.get("dev") is None
    assert leaving.asked == [(f"iam:role/{at.role()}", False)]
    again = at.fence(fence.subject, generation=2)
    await at.identities.delete("dev", fence=again)
    assert again.asked == []


async def test_delete_takes_along_what_is_part_of_the_role_and_leaves_what_is_attached(at: Bench) -> None:
    one, two = [await at.hands.policy(name) for name in ("one", "two")]
    fence = at.fence()
    await at.identities.ensure(replace(SPEC, permissions=(one,)), fence=fence)
    await at.hands.iam.attach_role_policy(RoleName=at.role(), PolicyArn=two)
    await at.hands.put_inline(at.role(), "theirs")
    leaving = at.fence(fence.subject, generation=2)
    await at.identities.delete("dev", fence=leaving)
    assert await at.identities.get("dev") is None
    assert len(leaving.asked) == 4
    assert (fence.destroyed, leaving.destroyed) == (set(), {f"iam:role/{at.role()}"})
    for arn in (one, two):
        assert (await at.hands.iam.get_policy(PolicyArn=arn))["Policy"]["Arn"] == arn


async def test_a_role_that_an_instance_profile_holds_is_left_whole(at: Bench) -> None:
    one = await at.hands.policy("one")
    fence = at.fence()
    await at.identities.ensure(replace(SPEC, permissions=(one,)), fence=fence)
    profile = await at.hands.put_in_profile(at.role())
    leaving = at.fence(fence.subject, generation=2)
    with pytest.raises(PermanentError, match=profile) as caught:
        await at.identities.delete("dev", fence=leaving)
    assert caught.value.reason is Reason.IN_USE
    assert await at.hands.attached(at.role()) == {one}
    assert leaving.asked == []


async def test_annotations_name_the_role_by_its_arn(at: Bench) -> None:
    made = await at.identities.ensure(SPEC, fence=at.fence())
    assert at.identities.annotations(made.id) == {"eks.amazonaws.com/role-arn": made.id}
    for name in ("team/etl", "/team/etl"):
        assert at.identities.annotations(name) == {
            "eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/team/etl"
        }


async def test_what_a_given_roles_trust_lacks_is_told_ready_to_paste(at: Bench) -> None:
    await at.hands.create(role := at.role("given"), {})
    accounts = [("dev", "shop"), ("dev", "lib")]
    found = await at.identities.trust(role, accounts)
    assert (found.refused, found.note) == (("dev/lib", "dev/shop"), "")
    document = await at.hands.trust(role)
    await at.hands.set_trust(role, {**document, "Statement": [*document["Statement"], json.loads(found.missing)]})
    assert await at.identities.trust(role, accounts) == Trust()
    assert (await at.identities.trust(role, [("prod", "shop")])).refused == ("prod/shop",)


async def test_a_role_that_is_not_there_is_told_and_one_elsewhere_is_not_asked_for(at: Bench) -> None:
    missing = await at.identities.trust(at.role("nothing"), [("dev", "shop")])
    assert (missing.refused, "there is no role" in missing.note) == ((), True)
    found = await at.identities.trust("arn:aws:iam::999988887777:role/theirs", [("dev", "shop")])
    assert (found.refused, "another account" in found.note) == ((), True)
