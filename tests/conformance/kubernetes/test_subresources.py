"""Scale, status, tokens, access reviews, evictions and logs."""

import base64
import json

import pytest
from kubernetes_asyncio import client

from tests.conformance.kubernetes.rig import MERGE_PATCH, Rig, deployment, pod, refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_scale_is_read_and_set(rig: Rig) -> None:
    made = await rig.apps.create_namespaced_deployment(rig.namespace, deployment("one", replicas=2, paused=True))
    scale = await rig.apps.read_namespaced_deployment_scale("one", rig.namespace)
    assert (scale.spec.replicas, scale.status.selector) == (2, "app=one")
    assert scale.metadata.uid == made.metadata.uid
    patched = await rig.apps.patch_namespaced_deployment_scale("one", rig.namespace, {"spec": {"replicas": 3}})
    assert patched.spec.replicas == 3
    patched.spec.replicas, patched.metadata.resource_version = None, None
    put = await rig.apps.replace_namespaced_deployment_scale("one", rig.namespace, patched)
    assert put.spec.replicas is None
    there = await rig.apps.read_namespaced_deployment("one", rig.namespace)
    assert there.spec.replicas == 0
    assert there.metadata.generation == made.metadata.generation + 2


async def test_scale_below_nought_is_refused(rig: Rig) -> None:
    await rig.apps.create_namespaced_deployment(rig.namespace, deployment("one", paused=True))
    call = rig.apps.patch_namespaced_deployment_scale("one", rig.namespace, {"spec": {"replicas": -1}})
    refusal = await refused(call)
    assert (refusal.code, refusal.fields) == (422, {"spec.replicas"})


async def test_status_endpoint_writes_the_status_alone(rig: Rig) -> None:
    await rig.core.create_namespaced_service(rig.namespace, {"metadata": {"name": "one"}, "spec": _PORTS})
    patch = {"spec": {"sessionAffinity": "ClientIP"}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    path = f"/api/v1/namespaces/{rig.namespace}/services/one"
    await rig.core.patch_namespaced_service("one", rig.namespace, {"spec": {"type": "LoadBalancer"}})
    patched = await rig.send("PATCH", f"{path}/status", patch, content_type=MERGE_PATCH)
    assert patched["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.1"
    assert patched["spec"]["sessionAffinity"] == "None"


async def test_object_endpoint_leaves_the_status_alone(rig: Rig) -> None:
    await rig.core.create_namespaced_service(rig.namespace, {"metadata": {"name": "one"}, "spec": _PORTS})
    patch = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    patched = await rig.core.patch_namespaced_service("one", rig.namespace, patch, _content_type=MERGE_PATCH)
    assert not patched.status.load_balancer.ingress


async def test_created_status_is_the_servers(rig: Rig) -> None:
    body = {**pod("one", schedulingGates=[{"name": "example.com/wait"}]), "status": {"phase": "Succeeded"}}
    made = await rig.core.create_namespaced_pod(rig.namespace, body)
    assert (made.status.phase, made.status.qos_class) == ("Pending", "BestEffort")


async def test_token_of_a_service_account(rig: Rig) -> None:
    body = {"spec": {"audiences": ["registry"], "expirationSeconds": 900}}
    made = await rig.core.create_namespaced_service_account_token("default", rig.namespace, body)
    assert made.status.expiration_timestamp is not None
    claims = made.status.token.split(".")[1]
    told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert told["sub"] == f"system:serviceaccount:{rig.namespace}:default"
    assert told["aud"] == ["registry"]
    assert told["exp"] - told["iat"] == 900


async def test_token_of_nobody_is_not_found(rig: Rig) -> None:
    call = rig.core.create_namespaced_service_account_token("nobody", rig.namespace, {"spec": {"audiences": []}})
    assert (await refused(call)).code == 404


async def test_administrator_may_do_anything(rig: Rig) -> None:
    reviews = rig.using(client.AuthorizationV1Api)
    attributes = {"namespace": rig.namespace, "verb": "create", "group": "apps", "resource": "deployments"}
    answer = await reviews.create_self_subject_access_review({"spec": {"resourceAttributes": attributes}})
    assert answer.status.allowed is True
    rules = await reviews.create_self_subject_rules_review({"spec": {"namespace": rig.namespace}})
    assert any("*" in rule.verbs and "*" in rule.resources for rule in rules.status.resource_rules)


async def test_eviction_deletes_the_pod(rig: Rig) -> None:
    await rig.core.create_namespaced_pod(rig.namespace, pod("one"))
    await rig.until(rig.core.list_namespaced_pod, "one", lambda item: item.status.phase == "Running")
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "one"}}
    await rig.core.create_namespaced_pod_eviction("one", rig.namespace, body)
    await rig.until_gone(rig.core.list_namespaced_pod, "one")


async def test_eviction_of_nobody_is_not_found(rig: Rig) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "nobody"}}
    assert (await refused(rig.core.create_namespaced_pod_eviction("nobody", rig.namespace, body))).code == 404


async def test_pod_is_bound_once(rig: Rig) -> None:
    await rig.core.create_namespaced_pod(rig.namespace, pod("one"))
    bound = await rig.until(rig.core.list_namespaced_pod, "one", lambda item: bool(item.spec.node_name))
    target = {"apiVersion": "v1", "kind": "Node", "name": bound.spec.node_name}
    body = {"metadata": {"name": "one"}, "target": target}
    path = f"/api/v1/namespaces/{rig.namespace}/pods/one/binding"
    assert (await refused(rig.send("POST", path, body))).code == 409


_PORTS = {"ports": [{"port": 80}]}
