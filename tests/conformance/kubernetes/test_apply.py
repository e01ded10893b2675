"""Server-side apply: who owns what, and what becomes of the fields that nobody wants any more."""

import pytest

from tests.conformance.kubernetes.rig import MERGE_PATCH, Object, Rig, deployment, refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _owners(item: Object) -> dict[tuple[str, str], Object]:
    return {(entry.manager, entry.operation): entry.fields_v1 for entry in item.metadata.managed_fields}


async def test_apply_creates_what_is_not_there(rig: Rig) -> None:
    made = await rig.apply_config_map("one", {"colour": "blue"})
    assert made.data == {"colour": "blue"}
    assert _owners(made) == {("one", "Apply"): {"f:data": {"f:colour": {}}}}


async def test_same_apply_again_keeps_the_version(rig: Rig) -> None:
    made = await rig.apply_config_map("one", {"colour": "blue"})
    again = await rig.apply_config_map("one", {"colour": "blue"})
    assert again.metadata.resource_version == made.metadata.resource_version
    assert again == made


async def test_apply_of_what_another_owns_names_the_owner_and_the_field(rig: Rig) -> None:
    await rig.apply_config_map("one", {"colour": "blue", "size": "large"})
    refusal = await refused(rig.apply_config_map("two", {"colour": "red"}))
    assert (refusal.code, refusal.reason) == (409, "Conflict")
    assert refusal.message == 'Apply failed with 1 conflict: conflict with "one": .data.colour'
    assert refusal.causes == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.colour"}
    ]


async def test_apply_of_the_same_value_shares_the_field(rig: Rig) -> None:
    await rig.apply_config_map("one", {"colour": "blue"})
    shared = await rig.apply_config_map("two", {"colour": "blue"})
    assert set(_owners(shared)) == {("one", "Apply"), ("two", "Apply")}
    left = await rig.apply_config_map("one", {})
    assert left.data == {"colour": "blue"}
    assert ("two", "Apply") in _owners(left)


async def test_forced_apply_takes_the_field_over(rig: Rig) -> None:
    await rig.apply_config_map("one", {"colour": "blue", "size": "large"})
    taken = await rig.apply_config_map("two", {"colour": "red"}, force=True)
    assert taken.data == {"colour": "red", "size": "large"}
    assert _owners(taken) == {
        ("one", "Apply"): {"f:data": {"f:size": {}}},
        ("two", "Apply"): {"f:data": {"f:colour": {}}},
    }


async def test_field_that_is_applied_no_more_goes(rig: Rig) -> None:
    await rig.apply_config_map("one", {"colour": "blue", "size": "large"})
    left = await rig.apply_config_map("one", {"size": "large"})
    assert left.data == {"size": "large"}


async def test_field_that_was_set_otherwise_is_owned_by_who_set_it(rig: Rig) -> None:
    await rig.apply_config_map("one", {"colour": "blue"})
    patch = {"data": {"size": "large"}}
    patched = await rig.core.patch_namespaced_config_map(
        "applied", rig.namespace, patch, field_manager="hand", _content_type=MERGE_PATCH
    )
    assert _owners(patched)["hand", "Update"] == {"f:data": {"f:size": {}}}
    refusal = await refused(rig.apply_config_map("one", {"colour": "blue", "size": "small"}))
    assert refusal.message == 'Apply failed with 1 conflict: conflict with "hand" using v1: .data.size'


async def test_change_by_hand_takes_the_field_from_its_applier(rig: Rig) -> None:
    await rig.apply_config_map("one", {"colour": "blue"})
    patch = {"data": {"colour": "red"}}
    patched = await rig.core.patch_namespaced_config_map(
        "applied", rig.namespace, patch, field_manager="hand", _content_type=MERGE_PATCH
    )
    assert _owners(patched)["hand", "Update"] == {"f:data": {"f:colour": {}}}
    assert (await refused(rig.apply_config_map("one", {"colour": "blue"}))).code == 409
    forced = await rig.apply_config_map("one", {"colour": "blue"}, force=True)
    assert set(_owners(forced)) == {("one", "Apply")}


async def test_created_fields_are_owned_by_the_user_agent(rig: Rig) -> None:
    made = await rig.config_map("one")
    agent = str(rig.api.user_agent).partition("/")[0]
    assert _owners(made) == {(agent, "Update"): {"f:data": {".": {}, "f:colour": {}}}}


async def test_apply_needs_a_manager(rig: Rig) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
    refusal = await refused(rig.apply("configmaps", body, manager=""))
    assert (refusal.code, refusal.fields) == (422, {"fieldManager"})


async def test_field_that_no_schema_declares_is_refused(rig: Rig) -> None:
    body = deployment("one")
    body["spec"]["colour"] = "blue"
    refusal = await refused(rig.apply("deployments", body))
    assert refusal.code == 500
    assert refusal.message.startswith("failed to create typed patch object (")
    assert refusal.message.endswith("; apps/v1, Kind=Deployment): .spec.colour: field not declared in schema")


async def test_value_of_the_wrong_type_is_refused(rig: Rig) -> None:
    refusal = await refused(rig.apply("deployments", deployment("one", replicas="two")))
    assert refusal.code == 500
    assert ".spec.replicas: expected numeric" in refusal.message


async def test_items_of_a_list_have_owners_of_their_own(rig: Rig) -> None:
    await rig.apply("deployments", deployment("one"), "one")
    side = {"containers": [{"name": "side", "image": "side:1"}]}
    other = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "one"},
        "spec": {"template": {"spec": side}},
    }
    both = await rig.apply("deployments", other, "two")
    assert [item["name"] for item in both["spec"]["template"]["spec"]["containers"]] == ["main", "side"]
    del other["spec"]
    left = await rig.apply("deployments", other, "two")
    assert [item["name"] for item in left["spec"]["template"]["spec"]["containers"]] == ["main"]


async def test_conflict_within_an_item_names_the_item(rig: Rig) -> None:
    await rig.apply("deployments", deployment("one"), "one")
    body = deployment("one")
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "app:2"
    refusal = await refused(rig.apply("deployments", body, "two"))
    assert refusal.fields == {'.spec.template.spec.containers[name="main"].image'}


async def test_apply_without_defaults_is_a_no_op_once_they_are_filled_in(rig: Rig) -> None:
    body = deployment("one", replicas=1)
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["ports"] = [{"containerPort": 80}]
    container["env"] = [{"name": "EMPTY", "value": ""}]
    container["resources"] = {"limits": {"cpu": "1000m", "memory": "1024Mi"}}
    body["spec"]["template"]["spec"]["hostNetwork"] = False
    await rig.apply("deployments", body, "one")
    ready = await rig.until(
        rig.apps.list_namespaced_deployment, "one", lambda item: bool(item.status.available_replicas)
    )
    assert ready.spec.strategy.rolling_update.max_surge == "25%"
    shown = ready.spec.template.spec.containers[0]
    assert (shown.image_pull_policy, shown.ports[0].protocol) == ("IfNotPresent", "TCP")
    assert shown.resources.limits == {"cpu": "1", "memory": "1Gi"}
    tried = await rig.apply("deployments", body, "one", dryRun="All")
    assert tried["metadata"]["generation"] == ready.metadata.generation
    assert (await rig.apply("deployments", body, "one"))["metadata"]["generation"] == ready.metadata.generation


async def test_apply_of_another_object_of_the_name_is_refused(rig: Rig) -> None:
    made = await rig.apply_config_map("one", {"colour": "blue"})
    await rig.core.delete_namespaced_config_map("applied", rig.namespace)
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "applied", "uid": made.metadata.uid},
        "data": {"colour": "red"},
    }
    refusal = await refused(rig.apply("configmaps", body, "one"))
    assert (refusal.code, refusal.reason) == (409, "Conflict")
    assert "uid mismatch" in refusal.message
    await rig.apply_config_map("one", {"colour": "blue"})
    assert (await refused(rig.apply("configmaps", body, "one"))).fields == {"metadata.uid"}


async def test_apply_of_a_version_that_is_no_more_is_refused(rig: Rig) -> None:
    made = await rig.apply_config_map("one", {"colour": "blue"})
    await rig.apply_config_map("one", {"colour": "red"})
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "applied", "resourceVersion": made.metadata.resource_version},
        "data": {"colour": "green"},
    }
    refusal = await refused(rig.apply("configmaps", body, "one"))
    assert (refusal.code, refusal.reason) == (409, "Conflict")


async def test_status_has_owners_of_its_own(rig: Rig) -> None:
    await rig.apply("deployments", deployment("one", paused=True), "one")
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"}, "status": {"collisionCount": 3}}
    path = f"/apis/apps/v1/namespaces/{rig.namespace}/deployments/one/status"
    content_type = "application/apply-patch+yaml"
    applied = await rig.send("PATCH", path, body, content_type=content_type, fieldManager="one", force="true")
    entries = {(entry["manager"], entry["operation"], entry.get("subresource")) for entry in _entries(applied)}
    assert {("one", "Apply", None), ("one", "Apply", "status")} <= entries


def _entries(item: Object) -> list[Object]:
    return list(item["metadata"]["managedFields"])
