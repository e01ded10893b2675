"""A cluster that plans: each change is told as the server would make it, nothing is written, and what was told is read back."""

from collections import Counter
from collections.abc import Awaitable, Callable
from copy import deepcopy
from random import Random
from typing import Any

import pytest

from agentd.core import (
    Action,
    LeaseLost,
    NotReady,
    PermanentError,
    Plan,
    PlannedChange,
    Reason,
    Subject,
    TransientError,
    differences,
)
from agentd.platform import Applied, ChangeKind, Cluster, Kind, Manifest, ObjectRef
from agentd.platform.kubernetes.content import said
from tests.conformance.cluster.support import CONFIG_MAP, DEPLOYMENT, Bench
from tests.conformance.registry.support import RecordingFence

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMESPACE = Kind("v1", "Namespace")
Work = Callable[[Cluster, RecordingFence], Awaitable[object]]


async def planned(at: Bench, work: Work, fence: RecordingFence) -> list[PlannedChange]:
    """What the work would change. It writes nothing, and asks for nothing."""
    plan = Plan()
    asked, written = len(fence.asked), len(at.relay.writes)
    await work(at.cluster.planning(plan), fence)
    assert len(at.relay.writes) == written
    assert len(fence.asked) == asked
    return list(plan)


async def same_as_done(at: Bench, work: Work, fence: RecordingFence) -> list[PlannedChange]:
    """What the work would change, after it has been done and has written these very objects; then there is no more to do."""
    fence.asked.clear()
    changes = await planned(at, work, fence)
    await work(at.cluster, fence)
    assert {change.obj for change in changes} == {obj for obj, stamp in fence.asked if not stamp}
    assert await planned(at, work, fence) == []
    return changes


def applying(*manifests: Manifest) -> Work:
    """Apply them one after the other."""

    async def work(cluster: Cluster, fence: RecordingFence) -> None:
        for manifest in manifests:
            await cluster.apply(deepcopy(manifest), fence=fence)

    return work


def fields(change: PlannedChange) -> dict[str, tuple[Any, Any]]:
    return {found.path: (found.before, found.after) for found in change.fields}


async def test_a_creation_is_told_with_the_servers_defaults(at: Bench) -> None:
    (change,) = await same_as_done(at, applying(at.deployment()), at.fence())
    assert (change.obj, change.action) == (f"kubernetes:{at.namespace}/deployment/web", Action.CREATE)
    told = fields(change)
    assert told["spec.replicas"] == (None, 1), "a default"
    assert told["spec.template.spec.containers[name=main].image"] == (None, "example/web:1")
    kept = ("uid", "resourceVersion", "managedFields", "creationTimestamp", "status", "generation", "event-id")
    assert not [path for path in told for name in kept if name in path]


async def test_a_change_is_told_field_by_field(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, applying(at.config_map(a="1", b="2")), fence)
    later = at.fence(fence.subject, 2)
    (change,) = await same_as_done(at, applying(at.config_map(a="3", c="4")), later)
    assert change.action is Action.CHANGE
    assert fields(change) == {"data.a": ("1", "3"), "data.b": ("2", None), "data.c": (None, "4")}
    (change,) = await same_as_done(at, applying(at.config_map(a="3")), later)
    assert fields(change) == {"data.c": ("4", None)}


async def test_a_field_that_falls_back_to_its_default_is_told_so(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, applying(at.deployment(replicas=3, minReadySeconds=5)), fence)
    (change,) = await same_as_done(at, applying(at.deployment()), fence)
    assert fields(change)["spec.replicas"] == (3, 1)
    assert fields(change)["spec.minReadySeconds"][0] == 5
    assert len(change.fields) == 2


async def test_who_has_made_what_differs_is_told(at: Bench) -> None:
    fence = at.fence()
    wanted = applying(at.deployment(replicas=2, minReadySeconds=5), at.config_map(a="1", b="2"))
    await same_as_done(at, wanted, fence)
    path = f"/apis/apps/v1/namespaces/{at.namespace}/deployments/web"
    image = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "example/web:2"}
    await at.hands.call("PATCH", path, [image], "application/json-patch+json", fieldManager="a-mesh")
    await at.hands.patch(path, {"spec": {"replicas": 7}, "metadata": {"labels": {"team": "x"}}})
    await at.hands.patch(f"/api/v1/namespaces/{at.namespace}/configmaps/x", {"data": {"a": None, "mine": "3"}})

    web, config = await planned(at, wanted, fence)
    assert fields(web).keys() == {"spec.replicas", "spec.template.spec.containers[name=main].image"}
    assert [(author.manager, author.fields) for author in web.authors] == [
        ("a-mesh", ("spec.template.spec.containers[name=main].image",)),
        ("somebody", ("spec.replicas",)),
    ]
    assert all(author.at.endswith("Z") for author in web.authors)
    assert fields(config) == {"data.a": (None, "1")}
    assert [(author.manager, author.fields) for author in config.authors] == [("somebody", ())], (
        "it owns what is gone no more"
    )

    (more,) = await planned(at, pruning(at, ObjectRef.of(at.deployment())), fence)
    assert (more.obj, more.action) == (f"kubernetes:{at.namespace}/configmap/x", Action.DELETE)
    assert [(author.manager, author.fields) for author in more.authors] == [("somebody", ())]


def pruning(at: Bench, *keep: ObjectRef) -> Work:
    """Prune everything else."""

    async def work(cluster: Cluster, fence: RecordingFence) -> None:
        await cluster.prune((CONFIG_MAP, DEPLOYMENT), namespace=at.namespace, labels={}, keep=keep, fence=fence)

    return work


async def test_a_stamp_alone_is_no_change(at: Bench) -> None:
    fence = at.fence()
    await same_as_done(at, applying(at.config_map()), fence)
    later = at.fence(fence.subject, 2)
    assert await same_as_done(at, applying(at.config_map()), later) == []


async def test_values_of_secrets_are_never_told(at: Bench) -> None:
    fence = at.fence()

    def secret(**data: str) -> Manifest:
        metadata = {"name": "database", "namespace": at.namespace}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}

    (made,) = await same_as_done(at, applying(secret(password="b25l", user="bWU=")), fence)  # noqa: S106 - of nobody
    (change,) = await same_as_done(at, applying(secret(password="dHdv", host="aG9zdA==")), fence)  # noqa: S106
    assert not {"b25l", "bWU=", "dHdv", "aG9zdA=="} & {
        value for found in (*made.fields, *change.fields) for value in (found.before, found.after)
    }
    assert fields(change).keys() == {"data.password", "data.user", "data.host"}
    before, after = fields(change)["data.password"]
    assert before != after
    assert fields(change)["data.user"] == (before, None)
    assert fields(change)["data.host"] == (None, after)


async def test_what_the_server_makes_up_each_time_is_not_told(at: Bench) -> None:
    service: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": at.namespace},
        "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80}]},
    }
    pod = at.deployment()["spec"]["template"]
    pod["spec"]["restartPolicy"] = "Never"
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate", "namespace": at.namespace},
        "spec": {"template": pod},
    }
    fence = at.fence()
    once = await planned(at, applying(service, job), fence)
    await applying({**service, "metadata": {**service["metadata"], "name": "other"}})(at.cluster, at.fence())
    assert await planned(at, applying(service, job), fence) == once
    (web, migrate) = once
    assert not any("clusterIP" in path or "nodePort" in path for path in fields(web))
    assert not any("uid" in path for path in fields(migrate))
    assert fields(web)["spec.ports"][1][0]["port"] == 80
    headless = {**service, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], "clusterIP": "None"}}
    (told,) = await planned(at, applying(headless), fence)
    assert fields(told)["spec.clusterIP"] == (None, "None")
    await same_as_done(at, applying(service, job), fence)


async def test_in_a_namespace_to_come_the_manifest_is_what_will_be(at: Bench) -> None:
    name = f"{at.namespace}-next"
    inside = at.config_map()
    inside["metadata"]["namespace"] = name
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    fence = at.fence()
    changes = await same_as_done(at, applying(namespace, inside), fence)
    assert [(change.obj, change.action) for change in changes] == [
        (f"kubernetes:namespace/{name}", Action.CREATE),
        (f"kubernetes:{name}/configmap/x", Action.CREATE),
    ]
    assert fields(changes[1])["data.a"] == (None, "1")
    await at.cluster.delete(ObjectRef(NAMESPACE, name), fence=fence)


async def test_a_namespace_that_nobody_makes_is_waited_for(at: Bench) -> None:
    lost = at.config_map()
    lost["metadata"]["namespace"] = f"{at.namespace}-lost"
    with pytest.raises(NotReady, match="has to wait") as told:
        await planned(at, applying(lost), at.fence())
    with pytest.raises(NotReady) as met:
        await applying(lost)(at.cluster, at.fence())
    assert str(told.value) == str(met.value)


async def test_what_the_server_refuses_is_refused_in_a_plan(at: Bench) -> None:
    wrong = at.deployment(replica=3)
    invalid = at.deployment()
    invalid["spec"]["template"]["metadata"]["labels"] = {"app": "another"}
    for manifest, words in ((wrong, r"replica\b"), (invalid, "spec.template.metadata.labels")):
        with pytest.raises(PermanentError, match=words) as caught:
            await planned(at, applying(manifest), at.fence())
        assert caught.value.reason is Reason.INVALID_REQUEST
    with pytest.raises(NotReady, match="no kind Nothing"):
        await planned(at, applying({**at.config_map(), "kind": "Nothing"}), at.fence())


def some_set(random: Random, at: Bench) -> Manifest:
    """A StatefulSet that has some of the fields that another may have."""
    container: dict[str, Any] = {"name": "main", "image": random.choice(("example/web:1", "example/web:2"))}
    spec: dict[str, Any] = {"containers": [container]}
    if random.random() < 0.5:
        container["env"] = [{"name": name, "value": "1"} for name in random.sample("ABC", random.randint(1, 3))]
    if random.random() < 0.5:
        container["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
        sources: tuple[dict[str, Any], ...] = (
            {"emptyDir": {}},
            {"emptyDir": {"medium": "Memory"}},
            {"configMap": {"name": "x"}},
        )
        spec["volumes"] = [{"name": "scratch", **random.choice(sources)}]
    if random.random() < 0.5:
        spec["containers"].append({"name": "side", "image": "example/side:1"})
    if random.random() < 0.3:
        spec["terminationGracePeriodSeconds"] = random.choice((0, 5))
    metadata: dict[str, Any] = {"name": "db", "namespace": at.namespace}
    if random.random() < 0.5:
        metadata["annotations"] = dict.fromkeys(random.sample("abc", random.randint(1, 2)), "1")
    pod = {"metadata": {"labels": {"app": "db"}}, "spec": spec}
    whole: dict[str, Any] = {"serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": pod}
    if random.random() < 0.5:
        whole["replicas"] = random.randint(0, 2)
    if random.random() < 0.3:
        whole["minReadySeconds"] = 3
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": whole}


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_foretold_is_what_comes(at: Bench, seed: int) -> None:
    random = Random(seed)
    fence = at.fence()
    done: Counter[Applied] = Counter()
    for step in range(12):
        manifest = some_set(random, at)
        if step % 4 == 0:  # a new object: what its creation owns is handed over at its first change
            name = f"db-{step}"
        manifest["metadata"]["name"] = name
        ref = at.ref(name, Kind("apps/v1", "StatefulSet"))
        preview = await at.cluster.preview(manifest, fence=fence)
        cluster = at.cluster.planning(plan := Plan())
        assert await cluster.apply(manifest, fence=fence) is preview.applied
        foretold, before = await cluster.get(ref), await at.cluster.get(ref)
        assert await at.cluster.apply(manifest, fence=fence) is preview.applied
        live = await at.cluster.get(ref)
        assert said(foretold) == said(live)
        if preview.applied is Applied.CHANGED:
            (change,) = plan
            assert change.fields == differences(said(before), said(live))
        done[preview.applied] += 1
    assert done[Applied.CHANGED] > 4


async def test_a_part_that_becomes_one_of_another_type_is_foretold(at: Bench) -> None:
    def with_volume(**source: Any) -> Manifest:
        manifest = at.deployment()
        manifest["spec"]["template"]["spec"]["volumes"] = [{"name": "files", **source}]
        return manifest

    fence = at.fence()
    await same_as_done(at, applying(with_volume(emptyDir={})), fence)
    (change,) = await same_as_done(at, applying(with_volume(configMap={"name": "x"})), fence)
    volume = "spec.template.spec.volumes[name=files]"
    assert fields(change) == {
        f"{volume}.emptyDir": ({}, None),
        f"{volume}.configMap.name": (None, "x"),
        f"{volume}.configMap.defaultMode": (None, 420),
    }


async def test_ownership_and_generations_are_checked(at: Bench) -> None:
    fence = at.fence(generation=2)
    await at.cluster.apply(at.config_map(), fence=fence)
    await at.cluster.apply(at.deployment(), fence=fence)
    works: list[Work] = [
        applying(at.config_map(a="2")),
        lambda cluster, fence: cluster.scale(at.ref("web", DEPLOYMENT), 2, annotations={}, fence=fence),
        lambda cluster, fence: cluster.delete(at.ref(), fence=fence),
    ]
    for work in works:
        for foreign in (at.fence(), at.fence(fence.subject, 2, owner_id="another")):
            with pytest.raises(PermanentError) as caught:
                await planned(at, work, foreign)
            assert caught.value.reason is Reason.FOREIGN_OBJECT
        with pytest.raises(LeaseLost):
            await planned(at, work, at.fence(fence.subject, 1))
        assert len(await planned(at, work, fence)) == 1


async def test_a_scale_is_told_by_what_it_sets(at: Bench) -> None:
    fence = at.fence()
    ref = at.ref("web", DEPLOYMENT)
    await at.cluster.apply(at.deployment(replicas=2), fence=fence)
    fence.asked.clear()

    async def stop(cluster: Cluster, fence: RecordingFence) -> None:
        await cluster.scale(ref, 0, annotations={"remembers": "2"}, fence=fence)

    (change,) = await same_as_done(at, stop, fence)
    assert fields(change) == {"spec.replicas": (2, 0), "metadata.annotations.remembers": (None, "2")}
    with pytest.raises(TransientError, match="is not there"):
        await at.cluster.planning(Plan()).scale(at.ref("none", DEPLOYMENT), 1, annotations={}, fence=fence)


async def test_what_a_scale_has_set_stays_through_an_apply_that_says_nothing_of_it(at: Bench) -> None:
    fence = at.fence()

    async def work(cluster: Cluster, fence: RecordingFence) -> None:
        await cluster.apply(at.deployment(), fence=fence)
        await cluster.scale(at.ref("web", DEPLOYMENT), 0, annotations={"remembers": "1"}, fence=fence)
        assert await cluster.apply(at.deployment(), fence=fence) is Applied.UNCHANGED
        changed = at.deployment()
        changed["metadata"]["annotations"] = {"a": "b"}
        assert await cluster.apply(changed, fence=fence) is Applied.CHANGED
        found = await cluster.get(at.ref("web", DEPLOYMENT))
        assert found is not None
        assert (found["spec"]["replicas"], found["metadata"]["annotations"]["remembers"]) == (0, "1")

    (change,) = await planned(at, work, fence)
    assert change.action is Action.CREATE
    assert fields(change)["spec.replicas"] == (None, 0)
    assert fields(change)["metadata.annotations.a"] == (None, "b")
    await work(at.cluster, fence)


async def test_what_is_deleted_is_gone_at_once(at: Bench) -> None:
    fence = at.fence()
    held = at.config_map("held")
    held["metadata"]["finalizers"] = ["example.com/never"]
    await applying(at.config_map(), held)(at.cluster, fence)
    cluster = at.cluster.planning(plan := Plan())
    for name in ("x", "held", "never-there"):
        await cluster.delete(at.ref(name), fence=fence, wait_s=60)
    await cluster.delete(ObjectRef(Kind("example.com/v1", "Nothing"), "x", at.namespace), fence=fence, wait_s=60)
    assert [(change.obj, change.action) for change in plan] == [
        (f"kubernetes:{at.namespace}/configmap/{name}", Action.DELETE) for name in ("x", "held")
    ]
    assert await cluster.list(CONFIG_MAP, namespace=at.namespace, labels=at_labels(fence)) == []
    assert await at.cluster.get(at.ref()) is not None
    # Made anew, it is told by what it was before.
    assert await cluster.apply(at.config_map(a="2"), fence=fence) is Applied.CREATED
    changes = {change.obj: change for change in plan}
    anew = changes[f"kubernetes:{at.namespace}/configmap/x"]
    assert (anew.action, fields(anew)) == (Action.CHANGE, {"data.a": ("1", "2")})
    await at.hands.patch(at.path("held"), {"metadata": {"finalizers": []}})


def at_labels(fence: RecordingFence) -> dict[str, str]:
    return {"conveyor.internal/owner-id": fence.owner_id}


async def test_a_namespace_takes_everything_in_it_along(at: Bench) -> None:
    subject = Subject("environment", "of-the-namespace")
    fence = at.fence(subject)
    name = f"{at.namespace}-along"
    inside = at.config_map()
    inside["metadata"]["namespace"] = name
    await applying({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, inside)(at.cluster, fence)
    cluster = at.cluster.planning(plan := Plan())
    await cluster.apply({**inside, "data": {"a": "2"}}, fence=fence)
    await cluster.delete(ObjectRef(NAMESPACE, name), fence=fence, wait_s=60)
    assert await cluster.get(ObjectRef.of(inside)) is None
    assert await cluster.list(CONFIG_MAP, namespace=name) == []
    assert [found async for found in cluster.watch(CONFIG_MAP, namespace=name)][-1].kind is ChangeKind.SYNCED
    with pytest.raises(NotReady, match="is to be deleted before it"):
        await cluster.apply(inside, fence=fence)
    assert [change.action for change in plan] == [Action.CHANGE, Action.DELETE]
    await at.cluster.delete(ObjectRef(NAMESPACE, name), fence=fence)


async def test_what_is_pruned_is_what_would_be(at: Bench) -> None:
    fence = at.fence()
    mine = [at.config_map(name) for name in ("one", "two", "kept")]
    await applying(*mine)(at.cluster, fence)
    await at.cluster.apply(at.config_map("theirs"), fence=at.fence())
    fence.asked.clear()
    kinds = [CONFIG_MAP, Kind("example.com/v1", "Nothing"), DEPLOYMENT]

    async def work(cluster: Cluster, fence: RecordingFence) -> None:
        await cluster.apply(at.config_map("three"), fence=fence)
        gone = await cluster.prune(kinds, namespace=at.namespace, labels={}, keep=[at.ref("kept")], fence=fence)
        assert {ref.name for ref in gone} == {"one", "two", "three"}

    changes = await planned(at, work, fence)
    assert {(change.obj, change.action) for change in changes} == {
        (str(at.ref(name)), Action.DELETE) for name in ("one", "two")
    }, "what is made and deleted again is nothing"
    await work(at.cluster, fence)
    assert {obj for obj, _ in fence.asked} == {str(at.ref(name)) for name in ("one", "two", "three")}


async def test_reads_are_as_if_everything_had_been_written(at: Bench) -> None:
    fence = at.fence()
    await applying(at.config_map("old"), at.config_map("kept", a="1"))(at.cluster, fence)
    cluster = at.cluster.planning(Plan())
    await applying(at.config_map("new"), at.config_map("kept", a="2"))(cluster, fence)
    await cluster.delete(at.ref("old"), fence=fence)
    found = {
        item["metadata"]["name"]: item["data"]["a"]
        for item in await cluster.list(CONFIG_MAP, namespace=at.namespace, labels=at_labels(fence))
    }
    assert found == {"new": "1", "kept": "2"}
    assert await cluster.list(CONFIG_MAP, namespace=at.namespace, labels={"is": "nowhere"}) == []
    told = [change async for change in cluster.watch(CONFIG_MAP, namespace=at.namespace, labels=at_labels(fence))]
    assert [change.kind for change in told] == [ChangeKind.PRESENT, ChangeKind.PRESENT, ChangeKind.SYNCED]
    handed_out = await cluster.get(at.ref("new"))
    assert handed_out is not None
    handed_out["data"]["a"] = "mine"
    again = await cluster.get(at.ref("new"))
    assert again is not None
    assert again["data"]["a"] == "1"
    assert await cluster.apply(at.config_map("new"), fence=fence) is Applied.UNCHANGED
    assert await cluster.apply(at.config_map("new", b="1"), fence=fence, dry_run=True) is Applied.CHANGED
    assert await cluster.apply(at.config_map("new"), fence=fence) is Applied.UNCHANGED
