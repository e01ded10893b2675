"""What holds a deletion up, and what goes with it: finalizers, owners and namespaces."""

import asyncio

import pytest

from tests.conformance.kubernetes.rig import DEADLINE_S, Manifest, Object, Rig, deployment, pod, refused

pytestmark = pytest.mark.asyncio(loop_scope="session")

_FINALIZER = "example.com/hold"


def _owned_by(owner: Object) -> list[Manifest]:
    return [{"apiVersion": "v1", "kind": "ConfigMap", "name": owner.metadata.name, "uid": owner.metadata.uid}]


async def test_finalizer_holds_an_object_until_it_is_taken_away(rig: Rig) -> None:
    made = await rig.config_map("one", finalizers=[_FINALIZER])
    await rig.core.delete_namespaced_config_map("one", rig.namespace)
    held = await rig.core.read_namespaced_config_map("one", rig.namespace)
    assert held.metadata.uid == made.metadata.uid
    assert held.metadata.deletion_timestamp is not None
    await rig.core.patch_namespaced_config_map("one", rig.namespace, {"metadata": {"finalizers": None}})
    assert (await refused(rig.core.read_namespaced_config_map("one", rig.namespace))).code == 404


async def test_second_deletion_of_what_is_held_changes_nothing(rig: Rig) -> None:
    await rig.config_map("one", finalizers=[_FINALIZER])
    await rig.core.delete_namespaced_config_map("one", rig.namespace)
    first = await rig.core.read_namespaced_config_map("one", rig.namespace)
    await rig.core.delete_namespaced_config_map("one", rig.namespace)
    assert await rig.core.read_namespaced_config_map("one", rig.namespace) == first
    await rig.core.patch_namespaced_config_map("one", rig.namespace, {"metadata": {"finalizers": None}})


async def test_no_finalizer_comes_to_what_is_being_deleted(rig: Rig) -> None:
    await rig.config_map("one", finalizers=[_FINALIZER])
    await rig.core.delete_namespaced_config_map("one", rig.namespace)
    more = {"metadata": {"finalizers": [_FINALIZER, "example.com/more"]}}
    refusal = await refused(rig.core.patch_namespaced_config_map("one", rig.namespace, more))
    assert (refusal.code, refusal.fields) == (422, {"metadata.finalizers"})
    await rig.core.patch_namespaced_config_map("one", rig.namespace, {"metadata": {"finalizers": None}})


async def test_dependents_go_after_their_owner(rig: Rig) -> None:
    owner = await rig.config_map("owner")
    await rig.config_map("dependent", ownerReferences=_owned_by(owner))
    await rig.core.delete_namespaced_config_map("owner", rig.namespace, propagation_policy="Background")
    await rig.until_gone(rig.core.list_namespaced_config_map, "dependent")


async def test_orphans_stay(rig: Rig) -> None:
    owner = await rig.config_map("owner")
    await rig.config_map("dependent", ownerReferences=_owned_by(owner))
    await rig.core.delete_namespaced_config_map("owner", rig.namespace, propagation_policy="Orphan")
    await rig.until_gone(rig.core.list_namespaced_config_map, "owner")
    orphan = await rig.core.read_namespaced_config_map("dependent", rig.namespace)
    assert not orphan.metadata.owner_references


async def test_owner_waits_for_its_dependents_in_the_foreground(rig: Rig) -> None:
    owner = await rig.config_map("owner")
    references = [{**_owned_by(owner)[0], "blockOwnerDeletion": True}]
    await rig.config_map("dependent", ownerReferences=references, finalizers=[_FINALIZER])
    await rig.core.delete_namespaced_config_map("owner", rig.namespace, propagation_policy="Foreground")
    await rig.until(rig.core.list_namespaced_config_map, "dependent", _is_terminating)
    waiting = await rig.core.read_namespaced_config_map("owner", rig.namespace)
    assert waiting.metadata.finalizers == ["foregroundDeletion"]
    await rig.core.patch_namespaced_config_map("dependent", rig.namespace, {"metadata": {"finalizers": None}})
    await rig.until_gone(rig.core.list_namespaced_config_map, "owner")


async def test_dependent_of_two_stays_with_the_other(rig: Rig) -> None:
    one, two = await rig.config_map("one"), await rig.config_map("two")
    await rig.config_map("dependent", ownerReferences=[*_owned_by(one), *_owned_by(two)])
    await rig.core.delete_namespaced_config_map("one", rig.namespace)
    left = await rig.until(
        rig.core.list_namespaced_config_map, "dependent", lambda item: len(item.metadata.owner_references) == 1
    )
    assert left.metadata.owner_references[0].uid == two.metadata.uid


async def test_deployment_takes_its_pods_along(rig: Rig) -> None:
    await rig.apps.create_namespaced_deployment(rig.namespace, deployment("one", replicas=1))
    await rig.until(rig.apps.list_namespaced_deployment, "one", lambda item: bool(item.status.available_replicas))
    await rig.apps.delete_namespaced_deployment("one", rig.namespace, propagation_policy="Foreground")
    await rig.until_gone(rig.apps.list_namespaced_deployment, "one")
    assert not (await rig.apps.list_namespaced_replica_set(rig.namespace)).items


async def test_namespace_takes_its_contents_along(rig: Rig) -> None:
    await rig.config_map("one")
    await rig.core.create_namespaced_pod(rig.namespace, pod("one"))
    await rig.until(rig.core.list_namespaced_pod, "one", lambda item: item.status.phase == "Running")
    deleted = await rig.send("DELETE", f"/api/v1/namespaces/{rig.namespace}")
    assert deleted["status"]["phase"] == "Terminating"
    assert deleted["spec"]["finalizers"] == ["kubernetes"]
    await rig.until_gone(rig.core.list_namespace, rig.namespace, cluster=True)
    assert not (await rig.core.list_namespaced_config_map(rig.namespace)).items
    assert (await refused(rig.core.read_namespaced_pod("one", rig.namespace))).code == 404


async def test_nothing_comes_into_a_namespace_that_goes(rig: Rig) -> None:
    await rig.config_map("held", finalizers=[_FINALIZER])
    await rig.core.delete_namespace(rig.namespace)
    refusal = await refused(rig.config_map("late"))
    assert (refusal.code, refusal.reason) == (403, "Forbidden")
    assert refusal.message.endswith(
        f"unable to create new content in namespace {rig.namespace} because it is being terminated"
    )
    assert [cause["reason"] for cause in refusal.causes] == ["NamespaceTerminating"]
    await rig.core.patch_namespaced_config_map("held", rig.namespace, {"metadata": {"finalizers": None}})
    await rig.until_gone(rig.core.list_namespace, rig.namespace, cluster=True)


async def test_namespace_says_what_holds_it_up(rig: Rig) -> None:
    await rig.config_map("held", finalizers=[_FINALIZER])
    await rig.core.delete_namespace(rig.namespace)
    held = await rig.until(
        rig.core.list_namespace,
        rig.namespace,
        lambda item: _condition(item, "NamespaceFinalizersRemaining").get("status") == "True",
        cluster=True,
    )
    assert held.status.phase == "Terminating"
    assert _condition(held, "NamespaceContentRemaining") == {
        "status": "True",
        "reason": "SomeResourcesRemain",
        "message": "Some resources are remaining: configmaps. has 1 resource instances",
    }
    assert _condition(held, "NamespaceFinalizersRemaining") == {
        "status": "True",
        "reason": "SomeFinalizersRemain",
        "message": f"Some content in the namespace has finalizers remaining: {_FINALIZER} in 1 resource instances",
    }
    await rig.core.patch_namespaced_config_map("held", rig.namespace, {"metadata": {"finalizers": None}})
    await rig.until_gone(rig.core.list_namespace, rig.namespace, cluster=True)


async def test_new_namespace_is_ready_to_be_used(rig: Rig) -> None:
    namespace = await rig.core.read_namespace(rig.namespace)
    assert namespace.status.phase == "Active"
    assert namespace.metadata.labels == {"kubernetes.io/metadata.name": rig.namespace}
    await rig.until(rig.core.list_namespaced_config_map, "kube-root-ca.crt", lambda item: "ca.crt" in item.data)


async def test_pod_that_is_deleted_ends_and_goes(rig: Rig) -> None:
    await rig.core.create_namespaced_pod(rig.namespace, pod("one", terminationGracePeriodSeconds=5))
    await rig.until(rig.core.list_namespaced_pod, "one", lambda item: item.status.phase == "Running")
    deleted = await rig.core.delete_namespaced_pod("one", rig.namespace)
    assert deleted.metadata.deletion_grace_period_seconds == 5
    await rig.until_gone(rig.core.list_namespaced_pod, "one")


async def test_claim_stays_while_a_pod_uses_it(rig: Rig) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await rig.core.create_namespaced_persistent_volume_claim(rig.namespace, {"metadata": {"name": "one"}, "spec": spec})
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "one"}}]
    await rig.core.create_namespaced_pod(rig.namespace, pod("user", volumes=volumes))
    await rig.until(rig.core.list_namespaced_pod, "user", lambda item: item.status.phase == "Running")
    await rig.core.delete_namespaced_persistent_volume_claim("one", rig.namespace)
    held = await rig.core.read_namespaced_persistent_volume_claim("one", rig.namespace)
    assert held.metadata.finalizers == ["kubernetes.io/pvc-protection"]
    await rig.core.delete_namespaced_pod("user", rig.namespace)
    await rig.until_gone(rig.core.list_namespaced_persistent_volume_claim, "one")


async def test_default_namespace_stays(rig: Rig) -> None:
    refusal = await refused(rig.core.delete_namespace("default"))
    assert (refusal.code, refusal.reason) == (403, "Forbidden")


async def test_delete_and_create_again_makes_another_object(rig: Rig) -> None:
    made = await rig.config_map("one")
    await rig.core.delete_namespaced_config_map("one", rig.namespace)
    async with asyncio.timeout(DEADLINE_S):
        again = await rig.config_map("one")
    assert again.metadata.uid != made.metadata.uid


def _is_terminating(item: Object) -> bool:
    return item.metadata.deletion_timestamp is not None


def _condition(namespace: Object, kind: str) -> dict[str, str]:
    for condition in namespace.status.conditions or ():
        if condition.type == kind:
            return {"status": condition.status, "reason": condition.reason, "message": condition.message}
    return {}
