"""Deleting, waiting, saying what is in the way, pruning, and scaling."""

from typing import Any

import pytest

from agentd.core import LeaseLost, NotReady, PermanentError, Reason, TransientError
from agentd.platform import Applied, Kind, ObjectRef
from agentd.platform.keys import ENVIRONMENT_ID, EVENT_ID, GENERATION, PROJECT_ID
from tests.conformance.cluster.relay import Fault, Where
from tests.conformance.cluster.support import CONFIG_MAP, DEPLOYMENT, Bench, labels_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOLD = "example.com/hold"
NAMESPACE = Kind("v1", "Namespace")
WAIT_S = 20.0


def held(at: Bench, name: str = "x") -> dict[str, Any]:
    manifest = at.config_map(name)
    manifest["metadata"]["finalizers"] = [HOLD]
    return manifest


async def release(at: Bench, name: str = "x") -> None:
    await at.hands.patch(at.path(name), {"metadata": {"finalizers": None}})


async def test_what_is_not_there_is_deleted(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.delete(at.ref(), fence=fence)
    await at.cluster.delete(ObjectRef(Kind("nothing.example.com/v1", "Widget"), "x", at.namespace), fence=fence)
    assert fence.asked == []
    assert at.relay.writes == []


async def test_delete_is_bound_to_what_was_read(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(), fence=fence)
    found = await at.seen()
    await at.cluster.delete(at.ref(), fence=fence)
    assert await at.cluster.get(at.ref()) is None
    assert fence.asked[1:] == [(f"kubernetes:{at.namespace}/configmap/x", False)]
    assert fence.destroyed == {f"kubernetes:{at.namespace}/configmap/x"}
    preconditions = at.relay.writes[1].body["preconditions"]
    assert preconditions == {name: found["metadata"][name] for name in ("uid", "resourceVersion")}


async def test_delete_waits_until_what_depends_on_it_is_gone(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.deployment(replicas=1), fence=fence)
    pods = f"/api/v1/namespaces/{at.namespace}/pods"
    await at.hands.until(pods, lambda found: found["items"])
    await at.cluster.delete(at.ref("web", DEPLOYMENT), fence=fence, wait_s=WAIT_S)
    assert await at.cluster.get(at.ref("web", DEPLOYMENT)) is None
    assert (await at.hands.get(f"/apis/apps/v1/namespaces/{at.namespace}/replicasets"))["items"] == []


async def test_a_finalizer_that_is_in_the_way_is_named(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(held(at), fence=fence)
    for wait_s in (0.0, 0.3):
        with pytest.raises(NotReady, match=f"configmap/x is still being deleted: it waits for finalizer {HOLD}"):
            await at.cluster.delete(at.ref(), fence=fence, wait_s=wait_s)
    assert at.relay.count("DELETE") == 1
    await release(at)
    await at.cluster.delete(at.ref(), fence=fence, wait_s=WAIT_S)


async def test_a_wait_ends_when_the_object_goes(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(held(at), fence=fence)

    async def let_go() -> None:
        await release(at)

    at.relay.show(Fault(Where.THROUGH, "GET", "watch=true", before=let_go))
    await at.cluster.delete(at.ref(), fence=fence, wait_s=WAIT_S)
    assert await at.cluster.get(at.ref()) is None


async def test_an_object_that_was_made_anew_meanwhile_is_another(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(held(at), fence=fence)

    async def replace() -> None:
        await release(at)
        await at.hands.call("POST", at.path("").rstrip("/"), at.config_map(a="theirs"))

    at.relay.show(Fault(Where.THROUGH, "GET", "watch=true", before=replace))
    await at.cluster.delete(at.ref(), fence=fence, wait_s=WAIT_S)
    assert (await at.seen())["data"] == {"a": "theirs"}


async def test_a_namespace_says_what_is_left_in_it(at: Bench) -> None:
    fence = at.fence()
    name = f"{at.namespace}-env"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await at.cluster.apply(namespace, fence=fence)
    manifest = held(at)
    manifest["metadata"]["namespace"] = name
    await at.cluster.apply(manifest, fence=fence)
    ref = ObjectRef(NAMESPACE, name)
    path = f"/api/v1/namespaces/{name}"
    with pytest.raises(NotReady, match=f"namespace/{name} is still being deleted: "):
        await at.cluster.delete(ref, fence=fence)
    await at.hands.until(path, lambda found: "conditions" in found["status"])
    with pytest.raises(NotReady, match=f"configmap/x waits for finalizer {HOLD}") as caught:
        await at.cluster.delete(ref, fence=fence)
    assert "NamespaceFinalizersRemaining" in str(caught.value)
    assert at.relay.count("DELETE") == 1
    await at.hands.patch(f"{path}/configmaps/x", {"metadata": {"finalizers": None}})
    await at.cluster.delete(ref, fence=fence, wait_s=30.0)
    assert await at.cluster.get(ref) is None


async def test_a_namespace_without_its_kinds_known_is_looked_through(at: Bench) -> None:
    fence = at.fence()
    name = f"{at.namespace}-env"
    await at.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, fence=fence)
    manifest = held(at)
    manifest["metadata"]["namespace"] = name
    await at.cluster.apply(manifest, fence=fence)
    # The namespace controller has had no time to say anything yet.
    with pytest.raises(NotReady, match=f"configmap/x waits for finalizer {HOLD}"):
        await at.cluster.delete(ObjectRef(NAMESPACE, name), fence=fence)
    await at.hands.patch(f"/api/v1/namespaces/{name}/configmaps/x", {"metadata": {"finalizers": None}})


async def test_a_delete_whose_answer_is_lost_is_looked_up(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(), fence=fence)
    at.relay.show(Fault(Where.AFTER, "DELETE", hang=True))
    fence.lease_s = 0.2
    await at.cluster.delete(at.ref(), fence=fence)
    assert at.relay.count("DELETE") == 1


async def test_a_delete_that_never_arrived_is_a_passing_fault(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(), fence=fence)
    at.relay.show(Fault(Where.BEFORE, "DELETE", hang=True))
    fence.lease_s = 0.2
    with pytest.raises(TransientError, match=r"kubernetes delete on .*configmap/x"):
        await at.cluster.delete(at.ref(), fence=fence)
    assert await at.cluster.get(at.ref()) is not None


async def test_what_changes_meanwhile_is_read_again_before_it_is_deleted(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(), fence=fence)

    async def change() -> None:
        await at.hands.patch(at.path(), {"data": {"theirs": "1"}})

    at.relay.show(Fault(Where.THROUGH, "DELETE", before=change))
    await at.cluster.delete(at.ref(), fence=fence)
    assert at.relay.count("DELETE") == 2
    assert await at.cluster.get(at.ref()) is None


async def test_prune_deletes_what_is_not_to_be_kept(at: Bench) -> None:
    fence = at.fence()
    for name in ("keep", "drop", "other"):
        manifest = at.config_map(name)
        manifest["metadata"]["labels"] = {PROJECT_ID: "other" if name == "other" else "this"}
        await at.cluster.apply(manifest, fence=fence)
    await at.cluster.apply(at.config_map("strangers"), fence=at.fence())
    await at.hands.call("POST", at.path("").rstrip("/"), at.config_map("theirs"))
    newer = at.fence(fence.subject, generation=2)
    arguments: dict[str, Any] = {"namespace": at.namespace, "labels": {PROJECT_ID: "this"}, "fence": newer}
    kinds = [CONFIG_MAP, Kind("nothing.example.com/v1", "Widget"), DEPLOYMENT]
    assert await at.cluster.prune(kinds, keep=[at.ref("keep")], **arguments) == [at.ref("drop")]
    assert newer.asked == [(f"kubernetes:{at.namespace}/configmap/drop", False)]
    assert await at.cluster.prune(kinds, keep=[at.ref("keep")], **arguments) == []
    left = {found["metadata"]["name"] for found in await at.cluster.list(CONFIG_MAP, namespace=at.namespace)}
    assert left >= {"keep", "other", "strangers", "theirs"}


async def test_prune_lets_be_what_is_leaving_and_stops_at_a_newer_generation(at: Bench) -> None:
    fence = at.fence(generation=3)
    await at.cluster.apply(held(at, "leaving"), fence=fence)
    await at.hands.delete(at.path("leaving"))
    arguments: dict[str, Any] = {"namespace": at.namespace, "labels": {}, "keep": []}
    assert await at.cluster.prune([CONFIG_MAP], fence=fence, **arguments) == []
    await at.cluster.apply(at.config_map(), fence=fence)
    with pytest.raises(LeaseLost, match="carries generation 3; this is 2"):
        await at.cluster.prune([CONFIG_MAP], fence=at.fence(fence.subject, generation=2), **arguments)
    assert await at.cluster.get(at.ref()) is not None
    await release(at, "leaving")


async def test_prune_of_a_whole_cluster_goes_by_label_alone(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(), fence=fence)
    labels = {ENVIRONMENT_ID: fence.subject.uuid}
    gone = await at.cluster.prune([CONFIG_MAP], namespace=None, labels=labels, keep=[], fence=fence)
    assert gone == [at.ref()]


async def test_scale_sets_replicas_and_annotations_in_one_write(at: Bench) -> None:
    first = at.fence()
    await at.cluster.apply(at.deployment(replicas=2), fence=first)
    ref = at.ref("web", DEPLOYMENT)
    sleeping = at.fence(first.subject, generation=2)
    assert await at.cluster.scale(ref, 0, annotations={"example.com/was": "2"}, fence=sleeping) is True
    found = await at.seen("web", DEPLOYMENT)
    assert (found["spec"]["replicas"], found["metadata"]["annotations"]["example.com/was"]) == (0, "2")
    assert (labels_of(found)[GENERATION], labels_of(found)[EVENT_ID]) == ("2", sleeping.event_id)
    assert len(at.relay.writes) == 2
    assert await at.cluster.scale(ref, 0, annotations={"example.com/was": "2"}, fence=sleeping) is False
    assert len(at.relay.writes) == 2
    waking = at.fence(first.subject, generation=3)
    assert await at.cluster.scale(ref, 2, annotations={"example.com/was": None}, fence=waking) is True
    found = await at.seen("web", DEPLOYMENT)
    assert found["spec"]["replicas"] == 2
    assert "example.com/was" not in found["metadata"].get("annotations", {})


async def test_scale_of_a_newer_generation_to_the_same_stamps_alone(at: Bench) -> None:
    first = at.fence()
    await at.cluster.apply(at.deployment(replicas=2), fence=first)
    newer = at.fence(first.subject, generation=2)
    assert await at.cluster.scale(at.ref("web", DEPLOYMENT), 2, annotations={}, fence=newer) is False
    assert {stamp for _, stamp in newer.asked} == {True}
    found = await at.seen("web", DEPLOYMENT)
    assert (labels_of(found)[GENERATION], labels_of(found)[EVENT_ID]) == ("2", first.event_id)


async def test_what_was_scaled_stays_when_a_manifest_says_nothing_of_it(at: Bench) -> None:
    first = at.fence()
    await at.cluster.apply(at.deployment(), fence=first)
    await at.cluster.scale(at.ref("web", DEPLOYMENT), 0, annotations={"example.com/was": "1"}, fence=first)
    newer = at.fence(first.subject, generation=2)
    assert await at.cluster.apply(at.deployment(), fence=newer) is Applied.STAMPED
    third = at.fence(first.subject, generation=3)
    assert await at.cluster.apply(at.deployment(minReadySeconds=3), fence=third) is Applied.CHANGED
    found = await at.seen("web", DEPLOYMENT)
    assert (found["spec"]["replicas"], found["metadata"]["annotations"]["example.com/was"]) == (0, "1")


async def test_scale_is_fenced_like_any_write(at: Bench) -> None:
    first = at.fence(generation=2)
    await at.cluster.apply(at.deployment(), fence=first)
    ref = at.ref("web", DEPLOYMENT)
    written = len(at.relay.writes)
    lost = at.fence(first.subject, generation=3)
    lost.lost = True
    for fence in (at.fence(first.subject, generation=1), lost):
        with pytest.raises(LeaseLost):
            await at.cluster.scale(ref, 0, annotations={}, fence=fence)
    with pytest.raises(PermanentError) as caught:
        await at.cluster.scale(ref, 0, annotations={}, fence=at.fence())
    assert caught.value.reason is Reason.FOREIGN_OBJECT
    with pytest.raises(TransientError, match="deployment/missing is not there"):
        await at.cluster.scale(at.ref("missing", DEPLOYMENT), 0, annotations={}, fence=first)
    assert len(at.relay.writes) == written


async def test_a_scale_whose_answer_is_lost_is_looked_up(at: Bench) -> None:
    first = at.fence()
    await at.cluster.apply(at.deployment(), fence=first)
    at.relay.show(Fault(Where.AFTER, "PATCH", "conveyor-agent-scale"))
    assert await at.cluster.scale(at.ref("web", DEPLOYMENT), 0, annotations={}, fence=first) is True
    at.relay.show(Fault(Where.BEFORE, "PATCH", "conveyor-agent-scale"))
    with pytest.raises(TransientError, match="kubernetes scale on"):
        await at.cluster.scale(at.ref("web", DEPLOYMENT), 3, annotations={}, fence=first)
