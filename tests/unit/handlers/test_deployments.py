"""Deploying projects into an environment, and undeploying them."""

from collections import Counter
from uuid import uuid4

import pytest

from agentd.core import NotReady, PermanentError, Reason, TransientError
from agentd.embedded import Fault, FaultKind
from agentd.events import DeploymentAction, Quotas, Retention
from agentd.platform import keys
from handlers.manifests.kinds import RESOURCE_QUOTA, SERVICE_ACCOUNT
from tests.conformance.cluster import relay
from tests.unit.handlers.world import Project, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def created(at: World, *names: str, builds: int = 1) -> list[Project]:
    """An environment, and projects that can be deployed."""
    await at.run(at.create())
    projects = [await at.project(name, builds=builds) for name in names]
    await at.writes()
    return projects


async def test_a_deployed_project_is_a_record_an_account_and_a_mark(at: World) -> None:
    [shop] = await created(at, "team_shop")
    [(build, digest)] = shop.builds.items()
    fence = await at.run(at.deploy(shop.deployment()), 2)
    assert fence.changed
    record = await at.record(shop)
    assert record is not None
    labels, annotations = record["metadata"]["labels"], record["metadata"]["annotations"]
    assert labels[keys.ENVIRONMENT_ID] == at.environment_id
    assert (labels[keys.PROJECT_ID], labels[keys.BUILD_ID]) == (shop.id, build)
    assert annotations == {keys.IMAGE_DIGEST: digest, keys.PROJECT_NAME: "team_shop"}
    repository = await at.registry.registry.get(at.registry.name("team_shop"))
    assert repository is not None
    assert record["data"] == {
        "id": shop.id,
        "name": "team_shop",
        "environment": at.name,
        "build-id": build,
        "image": f"{repository.uri}@{digest}",
        "settings.json": "{}",
    }
    account = await at.seen(SERVICE_ACCOUNT, "team.shop")
    assert account["automountServiceAccountToken"] is False
    assert await at.deployed(shop) == {build: (at.name,)}


async def test_equal_builds_make_no_write(at: World) -> None:
    shop, lib = await created(at, "shop", "lib")
    for project in (shop, lib):
        await at.configure(project, default_identity="x-{{ .Env }}", settings={"a": "1"})
    data = at.deploy(shop.deployment(), lib.deployment(action=DeploymentAction.NONE))
    first = await at.run(data, 2)
    await at.writes()
    again = await at.run(data, 2, event_id=first.event_id)
    assert await at.writes() == Counter()
    assert again.asked == []
    newer = await at.run(data, 3)
    assert not newer.changed
    writes = await at.writes()
    assert {write.split()[0] for write in writes} == {"PATCH"}


async def test_a_newer_build_takes_the_place_of_the_older_one(at: World) -> None:
    [shop] = await created(at, "shop", builds=2)
    older, newer = shop.builds
    await at.run(at.deploy(shop.deployment(older)), 2)
    fence = await at.run(at.deploy(shop.deployment(newer)), 3)
    assert await at.deployed(shop) == {older: (), newer: (at.name,)}
    record = await at.record(shop)
    assert record is not None
    assert record["metadata"]["labels"][keys.BUILD_ID] == newer
    changed = {obj for obj, stamp in fence.asked if not stamp}
    assert f"kubernetes:{at.name}/serviceaccount/shop" not in changed


@pytest.mark.parametrize("listed", [True, False], ids=["action delete", "not listed"])
async def test_undeploying_takes_mark_record_and_account_away(at: World, listed: bool) -> None:
    shop, lib = await created(at, "shop", "lib")
    await at.run(at.deploy(shop.deployment(), lib.deployment()), 2)
    gone = [lib.deployment(action=DeploymentAction.DELETE)] if listed else []
    fence = await at.run(at.deploy(shop.deployment(), *gone), 3)
    assert fence.changed
    assert await at.record(lib) is None
    assert await at.get(SERVICE_ACCOUNT, "lib") is None
    assert set((await at.deployed(lib)).values()) == {()}
    assert await at.record(shop) is not None
    assert set((await at.deployed(shop)).values()) == {(at.name,)}
    await at.writes()
    again = await at.run(at.deploy(shop.deployment(), *gone), 3)
    assert await at.writes() == Counter()
    assert again.asked == []
    # Nothing stands in the way of its end any more.
    await at.drop(lib, force=True)


async def test_what_is_undeployed_need_not_exist(at: World) -> None:
    [shop] = await created(at, "shop")
    never = Project(str(uuid4()), "never")
    theirs = Project(str(uuid4()), "theirs")
    await at.registry.hands.create(at.registry.name("theirs"))
    gone = [project.deployment(action=DeploymentAction.DELETE) for project in (never, theirs)]
    await at.run(at.deploy(shop.deployment(), *gone), 2)
    assert await at.record(shop) is not None


async def test_an_update_leaves_deployed_projects_alone(at: World) -> None:
    [shop] = await created(at, "shop")
    await at.run(at.deploy(shop.deployment()), 2)
    record = await at.record(shop)
    await at.run(at.update(quotas=Quotas(cpu="5")), 3)
    assert await at.record(shop) == record
    assert set((await at.deployed(shop)).values()) == {(at.name,)}


async def test_a_deploy_waits_for_its_projects(at: World) -> None:
    [shop] = await created(at, "shop")
    late, later = (Project(str(uuid4()), name) for name in ("late", "later"))
    data = at.deploy(shop.deployment(), late.deployment(), later.deployment())
    with pytest.raises(NotReady, match="project late has not been created yet; project later has not been created yet"):
        await at.run(data, 2)
    assert await at.writes() == Counter()
    assert await at.record(shop) is None


async def test_every_problem_of_every_project_is_told_at_once_and_nothing_is_written(at: World) -> None:
    shop, lib, etl, old, airflow = await created(at, "shop", "lib", "etl", "old", "airflow")
    missing, wrong = str(uuid4()), f"sha256:{'0' * 64}"
    stranger = Project(str(uuid4()), etl.name, etl.builds)
    late = Project(str(uuid4()), "late")
    await at.drop(old, retention=Retention.RETAIN)
    await at.writes()
    data = at.deploy(
        shop.deployment(missing),
        lib.deployment(image_digest=wrong, identity="{{ .Name }}"),
        stranger.deployment(),
        old.deployment(),
        airflow.deployment(),
        late.deployment(),
        quotas=Quotas(cpu="7"),
    )
    with pytest.raises(PermanentError) as caught:
        await at.run(data, 2)
    assert caught.value.reason is Reason.IMAGE_MISSING
    for text in (
        f"project shop: build {missing} is not in repository",
        "project lib: identity template '{{ .Name }}'",
        f"project lib: build {next(iter(lib.builds))} is image {next(iter(lib.builds.values()))}; the event asks for {wrong}",
        f"project etl: repository {at.registry.name('etl')} belongs to project/{etl.id}, not to project/{stranger.id}",
        "project old has been deleted",
        "project airflow: airflow is a service account of every environment",
        "project late has not been created yet",
    ):
        assert text in caught.value.message
    assert await at.writes() == Counter()
    quota = await at.seen(RESOURCE_QUOTA, "environment")
    assert quota["spec"]["hard"]["requests.cpu"] == "64"


async def test_a_foreign_repository_is_no_project(at: World) -> None:
    [_] = await created(at, "shop")
    theirs = Project(str(uuid4()), "theirs")
    await at.registry.hands.create(at.registry.name("theirs"))
    await at.push(theirs)
    await at.writes()
    with pytest.raises(PermanentError, match="belongs to owner nobody known") as caught:
        await at.run(at.deploy(theirs.deployment()), 2)
    assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert await at.writes() == Counter()


async def test_the_image_must_be_the_one_that_the_event_names(at: World) -> None:
    [shop] = await created(at, "shop")
    [digest] = shop.builds.values()
    await at.run(at.deploy(shop.deployment(image_digest=digest)), 2)
    record = await at.record(shop)
    assert record is not None
    assert record["metadata"]["annotations"][keys.IMAGE_DIGEST] == digest


async def test_what_a_project_is_given_goes_with_it(at: World) -> None:
    shop, lib = await created(at, "shop", "lib")
    await at.configure(shop, default_identity="orders-{{ slice .Env 0 1 }}", settings={"warehouse": "small"})
    await at.configure(lib, default_identity="lib-{{ .Env }}")
    await at.run(at.deploy(shop.deployment(), lib.deployment(identity="mine")), 2)
    records = [await at.record(project) for project in (shop, lib)]
    assert [record["data"]["identity"] for record in records if record] == ["orders-e", "mine"]
    assert records[0] is not None
    assert records[0]["data"]["settings.json"] == '{"warehouse":"small"}'


async def test_a_configuration_counts_from_the_next_deploy_on(at: World) -> None:
    [shop] = await created(at, "shop")
    await at.run(at.deploy(shop.deployment()), 2)
    await at.configure(shop, settings={"warehouse": "large"})
    before = await at.record(shop)
    await at.run(at.deploy(shop.deployment()), 3)
    after = await at.record(shop)
    assert before is not None
    assert after is not None
    texts = [record["data"]["settings.json"] for record in (before, after)]
    assert texts == ["{}", '{"warehouse":"large"}']


async def test_a_late_deploy_uses_the_newest_spec_and_its_own_projects(at: World) -> None:
    [shop] = await created(at, "shop")
    await at.run(at.update(quotas=Quotas(cpu="3")), 3)
    fence = await at.run(at.deploy(shop.deployment(), quotas=Quotas(cpu="1")), 2)
    assert fence.generation == 3
    quota = await at.seen(RESOURCE_QUOTA, "environment")
    assert quota["spec"]["hard"]["requests.cpu"] == "3"
    record = await at.record(shop)
    assert record is not None
    assert record["metadata"]["labels"][keys.GENERATION] == "3"


async def test_between_two_attempts_a_newer_spec_may_come(at: World) -> None:
    [shop] = await created(at, "shop")
    data = at.deploy(shop.deployment(), quotas=Quotas(cpu="1"))
    fault = await at.cloud.inject(Fault(kind=FaultKind.ERROR, operation="PutImage", code="ThrottlingException"))
    first = at.begin(data, 2)
    with pytest.raises(TransientError):
        await at.resume(data, first)
    await at.cloud.clear(fault)
    await at.run(at.update(quotas=Quotas(cpu="3")), 3)
    second = at.begin(data, 2)
    second.journal.update(first.journal)
    await at.resume(data, second)
    quota = await at.seen(RESOURCE_QUOTA, "environment")
    assert quota["spec"]["hard"]["requests.cpu"] == "3"
    assert set((await at.deployed(shop)).values()) == {(at.name,)}


async def test_a_mark_that_could_not_be_set_is_set_by_the_next_attempt(at: World) -> None:
    [shop] = await created(at, "shop")
    data = at.deploy(shop.deployment())
    await at.cloud.inject(Fault(kind=FaultKind.DROP_AFTER, operation="PutImage"))
    context = at.begin(data, 2)
    try:
        await at.resume(data, context)
    except TransientError:
        await at.resume(data, context)
    assert set((await at.deployed(shop)).values()) == {(at.name,)}
    assert (await at.writes())["PutImage"] == 1


async def test_what_was_cut_short_leaves_no_mark_that_nobody_finds(at: World) -> None:
    [shop] = await created(at, "shop")
    data = at.deploy(shop.deployment())
    refused = relay.Fault(
        relay.Where.BEFORE, "POST", f"/{at.name}/configmaps", answer=(403, {}, {"kind": "Status"}), times=None
    )
    at.relay.show(refused)
    with pytest.raises(PermanentError):
        await at.resume(data, at.begin(data, 2))
    at.relay.faults.clear()
    await at.run(at.deploy(), 3)
    assert set((await at.deployed(shop)).values()) == {()}


async def test_a_crash_before_the_journal_was_written_repeats_the_step_without_effect(at: World) -> None:
    shop, lib = await created(at, "shop", "lib")
    await at.run(at.deploy(shop.deployment(), lib.deployment()), 2)
    data = at.deploy(shop.deployment())
    context = at.begin(data, 3)
    await at.resume(data, context)
    for step in tuple(context.journal):
        await at.writes()
        del context.journal[step]
        await at.resume(data, context)
        assert await at.writes() == Counter()


async def test_many_projects(at: World) -> None:
    projects = await created(at, *(f"project-{number}" for number in range(30)))
    data = at.deploy(*(project.deployment() for project in projects))
    context = at.begin(data, 2)
    await at.resume(data, context)
    assert {f"ConfigMap/project-{project.name}" for project in projects} <= await at.objects()
    assert context.messages.count("30 of 30 objects: 30 created") == 2
    assert "30 images are marked" in context.messages
