"""The image registry port, sentence by sentence, on every adapter and server.

Where a server is wrong, WAIVERS says so: the test must then fail there, so that a mended server shows.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from agentd.core import LeaseLost, PermanentError, Reason, TransientError
from agentd.platform import LifecyclePolicy, RepositoryAccess, RepositorySpec
from agentd.platform.aws.session import AwsSession
from agentd.platform.aws.tags import AGENT, EVENT_ID, GENERATION, MANAGED_BY, OWNER_ID, SUBJECT
from tests.conformance.registry.support import INDEX, Bench, aws_session, bench, ministack, moto, new_subject

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVERS = {"ministack": ministack, "moto": moto}
# The second opinion is for the slow suite.
IN_TURN = ["ministack", pytest.param("moto", marks=pytest.mark.slow)]
WAIVERS = {
    ("moto", "test_listings_are_read_page_by_page"): "moto gives every listing whole, whatever maxResults says",
    ("moto", "test_credentials_are_good_for_a_while"): "moto's token expired in 2015",
    ("ministack", "test_a_lifecycle_policy_that_keeps_nothing_is_refused"): "ministack takes any text as a policy",
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


async def test_ensure_creates_with_tags_and_settings(at: Bench) -> None:
    fence = at.fence()
    made = await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    assert made == await at.registry.get(at.name())
    assert made.uri.endswith(f"/{at.name()}")
    assert (made.scan_on_push, made.immutable_tags, made.retained) == (True, True, False)
    assert (made.owner_id, made.subject, made.generation) == (at.owner_id, str(fence.subject), 1)
    assert (made.tags[MANAGED_BY], made.tags[EVENT_ID]) == (AGENT, fence.event_id)
    assert made.created_at is not None
    assert fence.asked == [(f"ecr:repository/{at.name()}", False)]


@pytest.mark.parametrize(("key", "kind"), [("alias/images", "KMS"), (None, "AES256")])
async def test_a_key_is_chosen_at_creation(at: Bench, key: str | None, kind: str) -> None:
    fence = at.fence()
    await at.registry.ensure(RepositorySpec(at.name(), kms_key=key), fence=fence)
    (found,) = (await at.hands.ecr.describe_repositories(repositoryNames=[at.name()]))["repositories"]
    encryption = found["encryptionConfiguration"]
    assert (encryption["encryptionType"], encryption.get("kmsKey")) == (kind, key)
    again = at.fence(fence.subject)
    await at.registry.ensure(RepositorySpec(at.name(), kms_key="alias/another"), fence=again)
    assert again.asked == []


async def test_ensure_again_asks_for_no_write(at: Bench) -> None:
    first = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=first)
    again = at.fence(first.subject)
    await at.registry.ensure(RepositorySpec(at.name()), fence=again)
    assert again.asked == []


async def test_a_newer_generation_with_equal_content_stamps_alone(at: Bench) -> None:
    first = at.fence()
    spec = RepositorySpec(at.name())
    await at.registry.ensure(spec, fence=first)
    await at.registry.ensure_lifecycle(spec.name, spec.lifecycle, fence=first)
    newer = at.fence(first.subject, generation=2)
    made = await at.registry.ensure(spec, fence=newer)
    await at.registry.ensure_lifecycle(spec.name, spec.lifecycle, fence=newer)
    await at.registry.ensure_access(spec.name, spec.access, fence=newer)
    assert newer.asked == [(f"ecr:repository/{at.name()}", True)]
    assert not newer.changed
    assert (made.generation, made.tags[EVENT_ID]) == (2, first.event_id)


async def test_settings_that_drifted_are_brought_back(at: Bench) -> None:
    first = at.fence()
    spec = RepositorySpec(at.name())
    await at.registry.ensure(spec, fence=first)
    await at.hands.ecr.put_image_tag_mutability(repositoryName=spec.name, imageTagMutability="MUTABLE")
    await at.hands.ecr.put_image_scanning_configuration(
        repositoryName=spec.name, imageScanningConfiguration={"scanOnPush": False}
    )
    again = at.fence(first.subject)
    made = await at.registry.ensure(spec, fence=again)
    assert (made.scan_on_push, made.immutable_tags) == (True, True)
    assert again.changed
    assert made.tags[EVENT_ID] == again.event_id


async def test_settings_may_be_turned_off(at: Bench) -> None:
    fence = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    made = await at.registry.ensure(RepositorySpec(at.name(), scan_on_push=False, immutable_tags=False), fence=fence)
    assert (made.scan_on_push, made.immutable_tags) == (False, False)


async def test_an_older_generation_loses(at: Bench) -> None:
    newer = at.fence(generation=5)
    spec = RepositorySpec(at.name())
    await at.registry.ensure(spec, fence=newer)
    older = at.fence(newer.subject, generation=4)
    for late in (
        at.registry.ensure(spec, fence=older),
        at.registry.ensure_lifecycle(spec.name, LifecyclePolicy(untagged_days=1), fence=older),
        at.registry.ensure_access(spec.name, RepositoryAccess(pull=("111122223333",)), fence=older),
        at.registry.retain(spec.name, fence=older),
        at.registry.delete(spec.name, force=True, fence=older),
    ):
        with pytest.raises(LeaseLost, match="carries generation 5"):
            await late
    assert older.asked == []


async def test_a_lost_lease_writes_nothing(at: Bench) -> None:
    fence = at.fence()
    fence.lost = True
    with pytest.raises(LeaseLost):
        await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    assert await at.registry.get(at.name()) is None


@pytest.mark.parametrize("owner", ["nobody", "another agent", "another subject"])
async def test_what_is_foreign_stays_as_it_is(at: Bench, owner: str) -> None:
    stranger = str(new_subject())
    tags = {
        "nobody": {},
        "another agent": {MANAGED_BY: AGENT, OWNER_ID: "somebody-else", SUBJECT: stranger, GENERATION: "1"},
        "another subject": {MANAGED_BY: AGENT, OWNER_ID: at.owner_id, SUBJECT: stranger, GENERATION: "1"},
    }[owner]
    await at.hands.create(at.name(), **tags)
    before = await at.registry.get(at.name())
    fence = at.fence(generation=9)
    named = {"nobody": "nobody known", "another agent": "somebody-else", "another subject": stranger}[owner]
    for refused in (
        at.registry.ensure(RepositorySpec(at.name()), fence=fence),
        at.registry.ensure_lifecycle(at.name(), LifecyclePolicy(), fence=fence),
        at.registry.ensure_access(at.name(), RepositoryAccess(), fence=fence),
        at.registry.retain(at.name(), fence=fence),
        at.registry.delete(at.name(), force=True, fence=fence),
    ):
        with pytest.raises(PermanentError, match=named) as caught:
            await refused
        assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert await at.registry.get(at.name()) == before
    assert fence.asked == []


async def test_marks_are_shown_of_own_repositories_alone(at: Bench) -> None:
    await at.hands.create(at.name("theirs"), **{OWNER_ID: "somebody-else", GENERATION: "7"})
    theirs = await at.registry.get(at.name("theirs"))
    assert theirs is not None
    assert (theirs.owner_id, theirs.subject, theirs.generation, theirs.retained) == (None, None, None, False)
    assert theirs.tags[OWNER_ID] == "somebody-else"


async def test_own_repositories_are_listed_and_no_others(at: Bench) -> None:
    for name in ("one", "two"):
        await at.registry.ensure(RepositorySpec(at.name(name)), fence=at.fence())
    await at.hands.create(at.name("theirs"))
    await at.hands.create(f"elsewhere/{at.owner_id}", **{MANAGED_BY: AGENT, OWNER_ID: at.owner_id})
    assert sorted(found.name for found in await at.registry.repositories()) == [at.name("one"), at.name("two")]


async def test_listings_are_read_page_by_page(session: AwsSession) -> None:
    async with bench(session, page_size=2, parallel_reads=2) as at:
        names = [at.name(f"app{number}") for number in range(5)]
        for name in names:
            await at.registry.ensure(RepositorySpec(name), fence=at.fence())
        digests = [await at.hands.push(names[0], f"tag{number}") for number in range(5)]
        assert sorted(found.name for found in await at.registry.repositories()) == names
        assert [image.digest for image in await at.registry.images(names[0])] == digests
        assert await _calls(at, "DescribeImages") == 3


async def _calls(at: Bench, operation: str) -> int:
    metric = at.metrics.platform_call_duration.collect()
    return int(
        sum(
            sample.value
            for family in metric
            for sample in family.samples
            if sample.name.endswith("_count") and sample.labels["operation"] == operation
        )
    )


async def test_lifecycle_keeps_what_is_deployed_and_the_newest(at: Bench) -> None:
    fence = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    await at.registry.ensure_lifecycle(at.name(), LifecyclePolicy(untagged_days=3, keep_images=20), fence=fence)
    text = (await at.hands.ecr.get_lifecycle_policy(repositoryName=at.name()))["lifecyclePolicyText"]
    assert '"countNumber":3' in text
    assert '"countNumber":20' in text
    assert '"tagPrefixList":["deployed-to."]' in text


async def test_a_policy_of_equal_meaning_is_left_alone(at: Bench) -> None:
    fence = at.fence()
    policy = LifecyclePolicy(untagged_days=3, keep_images=20)
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    await at.registry.ensure_lifecycle(at.name(), policy, fence=fence)
    text = (await at.hands.ecr.get_lifecycle_policy(repositoryName=at.name()))["lifecyclePolicyText"]
    await at.hands.ecr.put_lifecycle_policy(
        repositoryName=at.name(), lifecyclePolicyText=text.replace(",", " ,\n").replace(":", " : ")
    )
    again = at.fence(fence.subject)
    await at.registry.ensure_lifecycle(at.name(), policy, fence=again)
    assert again.asked == []


async def test_a_lifecycle_policy_that_drifted_is_brought_back(at: Bench) -> None:
    fence = at.fence()
    policy = LifecyclePolicy()
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    await at.registry.ensure_lifecycle(at.name(), policy, fence=fence)
    await at.hands.ecr.delete_lifecycle_policy(repositoryName=at.name())
    again = at.fence(fence.subject)
    await at.registry.ensure_lifecycle(at.name(), policy, fence=again)
    assert again.changed
    await at.hands.ecr.get_lifecycle_policy(repositoryName=at.name())


async def test_access_is_given_changed_and_taken_away(at: Bench) -> None:
    fence = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    pull = RepositoryAccess(pull=("arn:aws:iam::444455556666:root",))
    await at.registry.ensure_access(at.name(), pull, fence=fence)
    text = (await at.hands.ecr.get_repository_policy(repositoryName=at.name()))["policyText"]
    assert "ecr:BatchGetImage" in text
    assert "ecr:PutImage" not in text
    again = at.fence(fence.subject)
    await at.registry.ensure_access(at.name(), RepositoryAccess(pull=("444455556666",)), fence=again)
    assert again.asked == []
    both = RepositoryAccess(pull=("444455556666",), push=("arn:aws:iam::444455556666:role/builder",))
    await at.registry.ensure_access(at.name(), both, fence=fence)
    text = (await at.hands.ecr.get_repository_policy(repositoryName=at.name()))["policyText"]
    assert "ecr:PutImage" in text
    await at.registry.ensure_access(at.name(), RepositoryAccess(), fence=fence)
    with pytest.raises(at.hands.ecr.exceptions.RepositoryPolicyNotFoundException):
        await at.hands.ecr.get_repository_policy(repositoryName=at.name())
    nothing = at.fence(fence.subject)
    await at.registry.ensure_access(at.name(), RepositoryAccess(), fence=nothing)
    assert nothing.asked == []


async def test_a_lifecycle_policy_that_keeps_nothing_is_refused(at: Bench) -> None:
    fence = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    with pytest.raises(PermanentError, match=f"ecr PutLifecyclePolicy on ecr:repository/{at.name()}") as caught:
        await at.registry.ensure_lifecycle(at.name(), LifecyclePolicy(keep_images=0), fence=fence)
    assert caught.value.reason is Reason.INVALID_REQUEST


async def test_settings_of_a_missing_repository_are_a_passing_fault(at: Bench) -> None:
    with pytest.raises(TransientError, match="is not there"):
        await at.registry.ensure_lifecycle(at.name(), LifecyclePolicy(), fence=at.fence())


async def test_retain_marks_and_ensure_lifts(at: Bench) -> None:
    first = at.fence()
    spec = RepositorySpec(at.name())
    await at.registry.ensure(spec, fence=first)
    leaving = at.fence(first.subject, generation=2)
    await at.registry.retain(spec.name, fence=leaving)
    await at.registry.retain(spec.name, fence=leaving)
    assert leaving.asked == [(f"ecr:repository/{spec.name}", False)]
    kept = await at.registry.get(spec.name)
    assert kept is not None
    assert (kept.retained, kept.generation, kept.subject) == (True, 2, str(first.subject))
    back = at.fence(first.subject, generation=3)
    made = await at.registry.ensure(spec, fence=back)
    assert (made.retained, made.generation) == (False, 3)
    assert back.changed


async def test_to_retain_nothing_is_success(at: Bench) -> None:
    fence = at.fence()
    await at.registry.retain(at.name(), fence=fence)
    assert fence.asked == []


async def test_delete_of_an_empty_repository_and_again(at: Bench) -> None:
    fence = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    leaving = at.fence(fence.subject, generation=2)
    await at.registry.delete(at.name(), force=False, fence=leaving)
    assert await at.registry.get(at.name()) is None
    assert leaving.asked == [(f"ecr:repository/{at.name()}", False)]
    assert (fence.destroyed, leaving.destroyed) == (set(), {f"ecr:repository/{at.name()}"})
    again = at.fence(fence.subject, generation=2)
    await at.registry.delete(at.name(), force=False, fence=again)
    assert again.asked == []


async def test_delete_refuses_images_unless_forced(at: Bench) -> None:
    fence = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    await at.hands.push(at.name(), "build-1")
    with pytest.raises(PermanentError, match="1 images") as caught:
        await at.registry.delete(at.name(), force=False, fence=fence)
    assert caught.value.reason is Reason.NOT_EMPTY
    await at.registry.delete(at.name(), force=True, fence=fence)
    assert await at.registry.get(at.name()) is None


@pytest.mark.parametrize("force", [True, False])
async def test_delete_refuses_what_is_deployed_and_names_where(at: Bench, force: bool) -> None:
    fence = at.fence()
    await at.registry.ensure(RepositorySpec(at.name()), fence=fence)
    await at.hands.push(at.name(), "build-1", "deployed-to.prd")
    await at.hands.push(at.name(), "build-2", "deployed-to.acc")
    with pytest.raises(PermanentError, match="deployed to acc, prd") as caught:
        await at.registry.delete(at.name(), force=force, fence=fence)
    assert caught.value.reason is Reason.IN_USE
    assert len(await at.registry.images(at.name())) == 2


async def test_images_are_found_by_tag_and_by_digest(at: Bench) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    digest = await at.hands.push(at.name(), "build-1", "deployed-to.dev")
    await at.hands.push(at.name(), "build-2")
    image = await at.registry.image(at.name(), "build-1")
    assert image is not None
    assert image.digest == digest
    assert sorted(image.tags) == ["build-1", "deployed-to.dev"]
    assert image.deployed_to == ("dev",)
    assert await at.registry.image(at.name(), digest) == image
    assert await at.registry.image(at.name(), "build-3") is None
    assert await at.registry.image(at.name(), f"sha256:{'1' * 64}") is None
    assert await at.registry.image(at.name("missing"), "build-1") is None
    assert len(await at.registry.images(at.name())) == 2
    assert await at.registry.images(at.name("missing")) == []


async def test_an_image_is_deleted_with_all_its_tags(at: Bench) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    digest = await at.hands.push(at.name(), "build-1", "alias")
    await at.hands.push(at.name(), "build-2")
    fence = at.fence(new_subject("build"))
    assert await at.registry.delete_image(at.name(), "build-1", fence=fence) is True
    assert fence.asked == [(f"ecr:image/{at.name()}@{digest}", False)]
    assert fence.destroyed == {f"ecr:image/{at.name()}@{digest}"}
    assert [image.tags for image in await at.registry.images(at.name())] == [("build-2",)]
    again = at.fence(fence.subject)
    assert await at.registry.delete_image(at.name(), "build-1", fence=again) is False
    assert await at.registry.delete_image(at.name("missing"), "build-1", fence=again) is False
    assert again.asked == []


async def test_a_deployed_image_is_not_deleted(at: Bench) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    await at.hands.push(at.name(), "build-1", "deployed-to.dev")
    with pytest.raises(PermanentError, match="deployed to dev") as caught:
        await at.registry.delete_image(at.name(), "build-1", fence=at.fence(new_subject("build")))
    assert caught.value.reason is Reason.IN_USE
    assert await at.registry.image(at.name(), "build-1") is not None


async def test_an_image_of_a_foreign_repository_is_not_deleted(at: Bench) -> None:
    await at.hands.create(at.name())
    await at.hands.push(at.name(), "build-1")
    with pytest.raises(PermanentError, match="nobody known") as caught:
        await at.registry.delete_image(at.name(), "build-1", fence=at.fence(new_subject("build")))
    assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert await at.registry.image(at.name(), "build-1") is not None


async def _tags(at: Bench, digest: str) -> set[str]:
    image = await at.registry.image(at.name(), digest)
    return set(image.tags) if image is not None else set()


async def test_a_mark_is_put_on_moves_along_and_comes_off(at: Bench) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    old, new = [await at.hands.push(at.name(), tag) for tag in ("build-1", "build-2")]
    fence = at.fence(new_subject("environment"), generation=7)
    marked = await at.registry.mark_deployed(at.name(), "build-1", "dev", fence=fence)
    assert marked == await at.registry.image(at.name(), old)
    assert (marked.digest, marked.deployed_to) == (old, ("dev",))
    assert fence.asked == [(f"ecr:image/{at.name()}@{old}", False)]
    await at.registry.mark_deployed(at.name(), new, "dev", fence=fence)
    assert await _tags(at, old) == {"build-1"}
    assert await _tags(at, new) == {"build-2", "deployed-to.dev"}
    assert await at.registry.unmark_deployed(at.name(), "dev", fence=fence) is True
    assert await _tags(at, new) == {"build-2"}


async def test_a_mark_that_is_as_wanted_is_left_alone(at: Bench) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    await at.hands.push(at.name(), "build-1", "deployed-to.dev")
    fence = at.fence(new_subject("environment"))
    marked = await at.registry.mark_deployed(at.name(), "build-1", "dev", fence=fence)
    assert marked.deployed_to == ("dev",)
    assert await at.registry.unmark_deployed(at.name(), "prd", fence=fence) is False
    assert await at.registry.unmark_deployed(at.name("missing"), "dev", fence=fence) is False
    assert fence.asked == []


async def test_marks_of_several_environments_are_apart(at: Bench) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    await at.hands.push(at.name(), "build-1")
    new = await at.hands.push(at.name(), "build-2")
    for environment in ("dev", "prd"):
        fence = at.fence(new_subject("environment"))
        await at.registry.mark_deployed(at.name(), "build-1", environment, fence=fence)
    await at.registry.mark_deployed(at.name(), new, "dev", fence=at.fence(new_subject("environment")))
    deployed = {image.deployed_to for image in await at.registry.images(at.name())}
    assert deployed == {("dev",), ("prd",)}


async def test_an_image_for_several_platforms_is_marked_as_a_whole(at: Bench) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    digest = await at.hands.push_index(at.name(), "build-1")
    fence = at.fence(new_subject("environment"))
    marked = await at.registry.mark_deployed(at.name(), "build-1", "dev", fence=fence)
    assert (marked.digest, marked.deployed_to, marked.media_type) == (digest, ("dev",), INDEX)
    assert len(await at.registry.images(at.name())) == 3
    await at.registry.unmark_deployed(at.name(), "dev", fence=fence)
    assert await _tags(at, digest) == {"build-1"}


async def test_an_image_without_another_tag_outlives_its_marks(at: Bench) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    digest = await at.hands.push(at.name(), "build-1", "deployed-to.dev", "deployed-to.prd")
    await at.hands.untag(at.name(), "build-1")
    fence = at.fence(new_subject("environment"))
    assert await at.registry.unmark_deployed(at.name(), "dev", fence=fence) is True
    kept = f"kept.{digest.removeprefix('sha256:')}"
    assert await _tags(at, digest) == {kept, "deployed-to.prd"}
    await at.registry.unmark_deployed(at.name(), "prd", fence=fence)
    assert await _tags(at, digest) == {kept}


async def test_what_is_not_there_cannot_be_marked(at: Bench) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    digest = await at.hands.push(at.name(), "build-1", "deployed-to.dev")
    fence = at.fence(new_subject("environment"))
    for name, image in ((at.name(), "build-2"), (at.name(), f"sha256:{'1' * 64}"), (at.name("missing"), "build-1")):
        with pytest.raises(PermanentError, match=image) as caught:
            await at.registry.mark_deployed(name, image, "dev", fence=fence)
        assert caught.value.reason is Reason.IMAGE_MISSING
    assert await _tags(at, digest) == {"build-1", "deployed-to.dev"}
    assert fence.asked == []


async def test_images_of_a_foreign_repository_are_not_marked(at: Bench) -> None:
    await at.hands.create(at.name())
    digest = await at.hands.push(at.name(), "build-1", "deployed-to.dev")
    fence = at.fence(new_subject("environment"))
    for refused in (
        at.registry.mark_deployed(at.name(), "build-1", "prd", fence=fence),
        at.registry.unmark_deployed(at.name(), "dev", fence=fence),
    ):
        with pytest.raises(PermanentError, match="nobody known") as caught:
            await refused
        assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert await _tags(at, digest) == {"build-1", "deployed-to.dev"}
    assert fence.asked == []


async def test_a_lost_lease_moves_no_mark(at: Bench) -> None:
    await at.registry.ensure(RepositorySpec(at.name()), fence=at.fence())
    old = await at.hands.push(at.name(), "build-1", "deployed-to.dev")
    await at.hands.push(at.name(), "build-2")
    fence = at.fence(new_subject("environment"))
    fence.lost = True
    for late in (
        at.registry.mark_deployed(at.name(), "build-2", "dev", fence=fence),
        at.registry.unmark_deployed(at.name(), "dev", fence=fence),
    ):
        with pytest.raises(LeaseLost):
            await late
    assert await _tags(at, old) == {"build-1", "deployed-to.dev"}


async def test_credentials_are_for_the_registry_and_keep_their_secret(at: Bench) -> None:
    login = await at.registry.credentials()
    assert login.username == "AWS"
    assert "dkr.ecr" in login.registry
    assert not login.registry.startswith("http")
    assert login.password
    assert login.password not in repr(login)


async def test_credentials_are_good_for_a_while(at: Bench) -> None:
    assert (await at.registry.credentials()).expires_at > datetime.now(UTC)
