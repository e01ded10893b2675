"""Merge patch, JSON patch and strategic merge patch."""

import pytest

from tests.conformance.kubernetes.rig import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Rig, deployment, refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_merge_patch_adds_replaces_and_removes(rig: Rig) -> None:
    made = await rig.config_map("one")
    patch = {"data": {"colour": None, "size": "large"}, "metadata": {"labels": {"kind": "test"}}}
    patched = await rig.core.patch_namespaced_config_map("one", rig.namespace, patch, _content_type=MERGE_PATCH)
    assert patched.data == {"size": "large"}
    assert patched.metadata.labels == {"kind": "test"}
    assert int(patched.metadata.resource_version) > int(made.metadata.resource_version)


async def test_patch_that_changes_nothing_keeps_the_version(rig: Rig) -> None:
    made = await rig.config_map("one")
    patch = {"data": {"colour": "blue"}}
    patched = await rig.core.patch_namespaced_config_map("one", rig.namespace, patch, _content_type=MERGE_PATCH)
    assert patched.metadata.resource_version == made.metadata.resource_version


async def test_patch_of_a_version_that_is_no_more_is_refused(rig: Rig) -> None:
    made = await rig.config_map("one")
    await rig.core.patch_namespaced_config_map("one", rig.namespace, {"data": {"colour": "red"}})
    stale = {"metadata": {"resourceVersion": made.metadata.resource_version}, "data": {"colour": "green"}}
    call = rig.core.patch_namespaced_config_map("one", rig.namespace, stale, _content_type=MERGE_PATCH)
    refusal = await refused(call)
    assert (refusal.code, refusal.reason) == (409, "Conflict")


async def test_json_patch_carries_out_its_operations(rig: Rig) -> None:
    await rig.config_map("one")
    patch = [
        {"op": "test", "path": "/data/colour", "value": "blue"},
        {"op": "replace", "path": "/data/colour", "value": "red"},
        {"op": "add", "path": "/data/size", "value": "large"},
    ]
    patched = await rig.core.patch_namespaced_config_map("one", rig.namespace, patch, _content_type=JSON_PATCH)
    assert patched.data == {"colour": "red", "size": "large"}


async def test_json_patch_whose_test_fails_changes_nothing(rig: Rig) -> None:
    made = await rig.config_map("one")
    patch = [
        {"op": "replace", "path": "/data/colour", "value": "red"},
        {"op": "test", "path": "/data/colour", "value": "blue"},
    ]
    call = rig.core.patch_namespaced_config_map("one", rig.namespace, patch, _content_type=JSON_PATCH)
    refusal = await refused(call)
    assert (refusal.code, refusal.reason) == (422, "Invalid")
    assert await rig.core.read_namespaced_config_map("one", rig.namespace) == made


async def test_strategic_patch_merges_lists_by_their_key(rig: Rig) -> None:
    await rig.apps.create_namespaced_deployment(rig.namespace, deployment("one"))
    containers = [{"name": "main", "env": [{"name": "A", "value": "1"}]}, {"name": "side", "image": "side:1"}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    patched = await rig.apps.patch_namespaced_deployment("one", rig.namespace, patch, _content_type=STRATEGIC_PATCH)
    shown = {item.name: item for item in patched.spec.template.spec.containers}
    assert (shown["main"].image, shown["side"].image) == ("app:1", "side:1")
    assert [(item.name, item.value) for item in shown["main"].env] == [("A", "1")]


async def test_strategic_patch_takes_an_item_out(rig: Rig) -> None:
    body = deployment("one")
    body["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:1"})
    await rig.apps.create_namespaced_deployment(rig.namespace, body)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}}
    patched = await rig.apps.patch_namespaced_deployment("one", rig.namespace, patch, _content_type=STRATEGIC_PATCH)
    assert [item.name for item in patched.spec.template.spec.containers] == ["main"]


async def test_merge_patch_replaces_lists(rig: Rig) -> None:
    await rig.apps.create_namespaced_deployment(rig.namespace, deployment("one"))
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "other", "image": "other:1"}]}}}}
    patched = await rig.apps.patch_namespaced_deployment("one", rig.namespace, patch, _content_type=MERGE_PATCH)
    assert [item.name for item in patched.spec.template.spec.containers] == ["other"]


async def test_patch_of_a_missing_object_is_not_found(rig: Rig) -> None:
    assert (await refused(rig.core.patch_namespaced_config_map("one", rig.namespace, {"data": {}}))).code == 404


async def test_unreadable_patch_is_refused(rig: Rig) -> None:
    await rig.config_map("one")
    call = rig.core.patch_namespaced_config_map("one", rig.namespace, ["nonsense"], _content_type=MERGE_PATCH)
    assert (await refused(call)).code == 400
