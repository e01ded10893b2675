"""Objects that break rules: what is refused, and what is only warned of."""

from typing import Any

import pytest
from kubernetes_asyncio import client

from tests.conformance.kubernetes.rig import Rig, deployment, pod, refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_strict_validation_refuses_unknown_fields(rig: Rig) -> None:
    body = {"metadata": {"name": "one"}, "dta": {"colour": "blue"}}
    refusal = await refused(rig.core.create_namespaced_config_map(rig.namespace, body, field_validation="Strict"))
    assert (refusal.code, refusal.reason) == (400, "BadRequest")
    assert 'strict decoding error: unknown field "dta"' in refusal.message


async def test_strict_validation_names_the_path(rig: Rig) -> None:
    body = deployment("one")
    body["spec"]["template"]["spec"]["containers"][0]["imagee"] = "app:1"
    refusal = await refused(rig.apps.create_namespaced_deployment(rig.namespace, body, field_validation="Strict"))
    assert refusal.code == 400
    assert 'unknown field "spec.template.spec.containers[0].imagee"' in refusal.message


async def test_unknown_fields_are_dropped_with_a_warning(rig: Rig) -> None:
    body = {"metadata": {"name": "one"}, "dta": {"colour": "blue"}}
    made, status, headers = await rig.core.create_namespaced_config_map_with_http_info(
        rig.namespace, body, _return_http_data_only=False
    )
    assert status == 201
    assert made.data is None
    assert headers["Warning"] == '299 - "unknown field \\"dta\\""'


async def test_strict_validation_of_a_patch(rig: Rig) -> None:
    await rig.config_map("one")
    call = rig.core.patch_namespaced_config_map("one", rig.namespace, {"dta": {}}, field_validation="Strict")
    refusal = await refused(call)
    assert (refusal.code, refusal.fields) == (422, {"patch"})


async def test_value_of_the_wrong_type_is_refused(rig: Rig) -> None:
    call = rig.core.create_namespaced_config_map(rig.namespace, {"metadata": {"name": "one"}, "data": {"a": 1}})
    refusal = await refused(call)
    assert (refusal.code, refusal.reason) == (400, "BadRequest")
    assert "cannot unmarshal number" in refusal.message


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (pod("Upper_Case"), {"metadata.name"}),
        (pod("one", containers=[]), {"spec.containers"}),
        (pod("one", containers=[{"image": "app:1"}]), {"spec.containers[0].name"}),
        (pod("one", containers=[{"name": "main"}]), {"spec.containers[0].image"}),
        (pod("one", restartPolicy="Sometimes"), {"spec.restartPolicy"}),
        (
            pod("one", containers=[{"name": "main", "image": "app:1", "imagePullPolicy": "Maybe"}]),
            {"spec.containers[0].imagePullPolicy"},
        ),
        (
            pod(
                "one",
                containers=[{"name": "main", "image": "app:1", "volumeMounts": [{"name": "a", "mountPath": "/a"}]}],
            ),
            {"spec.containers[0].volumeMounts[0].name"},
        ),
    ],
)
async def test_invalid_pod_is_refused_field_by_field(rig: Rig, body: dict[str, Any], fields: set[str]) -> None:
    refusal = await refused(rig.core.create_namespaced_pod(rig.namespace, body))
    assert (refusal.code, refusal.reason) == (422, "Invalid")
    assert refusal.fields == fields


async def test_request_above_its_limit_is_refused(rig: Rig) -> None:
    resources = {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}
    body = pod("one", containers=[{"name": "main", "image": "app:1", "resources": resources}])
    refusal = await refused(rig.core.create_namespaced_pod(rig.namespace, body))
    assert refusal.fields == {"spec.containers[0].resources.requests"}


async def test_deployment_selects_its_own_pods(rig: Rig) -> None:
    body = deployment("one", selector={"matchLabels": {"app": "other"}})
    refusal = await refused(rig.apps.create_namespaced_deployment(rig.namespace, body))
    assert (refusal.code, refusal.fields) == (422, {"spec.template.metadata.labels"})


async def test_selector_of_a_deployment_stays(rig: Rig) -> None:
    await rig.apps.create_namespaced_deployment(rig.namespace, deployment("one"))
    labels = {"app": "other"}
    patch = {"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}}
    refusal = await refused(rig.apps.patch_namespaced_deployment("one", rig.namespace, patch))
    assert (refusal.code, refusal.fields) == (422, {"spec.selector"})
    assert "field is immutable" in refusal.message


async def test_role_of_a_binding_stays(rig: Rig) -> None:
    rbac = rig.using(client.RbacAuthorizationV1Api)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    body = {"metadata": {"name": "one"}, "roleRef": role}
    await rbac.create_namespaced_role_binding(rig.namespace, body)
    patch = {"roleRef": {"name": "edit"}}
    refusal = await refused(rbac.patch_namespaced_role_binding("one", rig.namespace, patch))
    assert (refusal.code, refusal.fields) == (422, {"roleRef"})


async def test_pod_template_of_a_job_stays(rig: Rig) -> None:
    spec = {"containers": [{"name": "main", "image": "app:1"}], "restartPolicy": "Never"}
    body = {"metadata": {"name": "one"}, "spec": {"parallelism": 0, "template": {"spec": spec}}}
    await rig.batch.create_namespaced_job(rig.namespace, body)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}}
    refusal = await refused(rig.batch.patch_namespaced_job("one", rig.namespace, patch))
    assert (refusal.code, refusal.fields) == (422, {"spec.template"})


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"labels": {"colour": "not a value"}}, "metadata.labels"),
        ({"labels": {"not a key": "blue"}}, "metadata.labels"),
        ({"annotations": {"not a key": "blue"}}, "metadata.annotations"),
    ],
)
async def test_bad_labels_and_annotations_are_refused(rig: Rig, metadata: dict[str, Any], field: str) -> None:
    refusal = await refused(rig.config_map("one", **metadata))
    assert (refusal.code, refusal.fields) == (422, {field})


async def test_object_without_a_name_is_refused(rig: Rig) -> None:
    refusal = await refused(rig.core.create_namespaced_config_map(rig.namespace, {"metadata": {}}))
    assert (refusal.code, refusal.fields) == (422, {"metadata.name"})


async def test_object_of_another_namespace_is_refused(rig: Rig) -> None:
    refusal = await refused(rig.config_map("one", namespace="other"))
    assert (refusal.code, refusal.reason) == (400, "BadRequest")


async def test_immutable_secret_stays(rig: Rig) -> None:
    body = {"metadata": {"name": "one"}, "immutable": True, "stringData": {"colour": "blue"}}
    await rig.core.create_namespaced_secret(rig.namespace, body)
    refusal = await refused(rig.core.patch_namespaced_secret("one", rig.namespace, {"stringData": {"colour": "red"}}))
    assert (refusal.code, refusal.fields) == (422, {"data"})


async def test_string_data_of_a_secret_becomes_data(rig: Rig) -> None:
    body = {"metadata": {"name": "one"}, "data": {"a": "QQ=="}, "stringData": {"b": "B"}}
    made = await rig.core.create_namespaced_secret(rig.namespace, body)
    assert made.data == {"a": "QQ==", "b": "Qg=="}
    assert (made.string_data, made.type) == (None, "Opaque")
