"""Which resources there are, as clients that know none of them find out."""

import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.dynamic import DynamicClient

from tests.conformance.kubernetes.rig import Rig, deployment, refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_core_resources_are_listed_with_their_verbs_and_short_names(rig: Rig) -> None:
    listed = await rig.core.get_api_resources()
    assert listed.group_version == "v1"
    found = {resource.name: resource for resource in listed.resources}
    pods, namespaces = found["pods"], found["namespaces"]
    assert (pods.kind, pods.namespaced, pods.short_names) == ("Pod", True, ["po"])
    assert set(pods.verbs) == {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    assert (namespaces.namespaced, namespaces.short_names) == (False, ["ns"])
    assert "deletecollection" not in namespaces.verbs
    assert {"pods/log", "pods/eviction", "pods/status", "namespaces/finalize", "serviceaccounts/token"} <= found.keys()


async def test_groups_are_listed_with_their_preferred_version(rig: Rig) -> None:
    listed = await rig.using(client.ApisApi).get_api_versions()
    found = {group.name: group.preferred_version.group_version for group in listed.groups}
    assert found["apps"] == "apps/v1"
    assert found["autoscaling"] == "autoscaling/v2"
    assert {"batch", "coordination.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io"} <= found.keys()


async def test_subresources_of_a_group(rig: Rig) -> None:
    listed = await rig.apps.get_api_resources()
    found = {resource.name: resource for resource in listed.resources}
    scale = found["deployments/scale"]
    assert (scale.kind, scale.group, scale.version) == ("Scale", "autoscaling", "v1")
    assert found["deployments/status"].kind == "Deployment"


async def test_dynamic_client_finds_its_way(rig: Rig) -> None:
    dynamic = await DynamicClient(rig.api)
    deployments = await dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    made = await deployments.create(body=deployment("one"), namespace=rig.namespace)
    assert made.metadata.name == "one"
    listed = await deployments.get(namespace=rig.namespace)
    assert [item.metadata.name for item in listed.items] == ["one"]
    await deployments.delete(name="one", namespace=rig.namespace)


async def test_openapi_describes_every_group(rig: Rig) -> None:
    index = await rig.send("GET", "/openapi/v3")
    path = index["paths"]["apis/apps/v1"]["serverRelativeURL"].partition("?")[0]
    described = await rig.send("GET", path)
    schemas = described["components"]["schemas"]
    spec = schemas["io.k8s.api.apps.v1.DeploymentSpec"]
    assert {"replicas", "selector", "template"} <= spec["properties"].keys()
    kinds = schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"]
    assert {"group": "apps", "version": "v1", "kind": "Deployment"} in kinds


async def test_unknown_resources_and_groups_are_not_found(rig: Rig) -> None:
    for path in (f"/api/v1/namespaces/{rig.namespace}/things", "/apis/apps/v1/things"):
        refusal = await refused(rig.send("GET", path))
        assert (refusal.code, refusal.message) == (404, "the server could not find the requested resource")


async def test_verb_that_a_resource_does_not_have_is_not_allowed(rig: Rig) -> None:
    refusal = await refused(rig.send("DELETE", "/api/v1/namespaces"))
    assert (refusal.code, refusal.reason) == (405, "MethodNotAllowed")


async def test_server_is_ready(rig: Rig) -> None:
    for path in ("/readyz", "/livez"):
        response = await rig.api.call_api(
            path, "GET", header_params={"Accept": "*/*"}, auth_settings=["BearerToken"], _preload_content=False
        )
        assert response.status == 200
