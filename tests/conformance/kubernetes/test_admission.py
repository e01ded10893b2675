"""What is refused because of what else there is: quotas, limits, pod security, missing accounts and classes."""

from typing import Any

import pytest

from tests.conformance.kubernetes.rig import Manifest, Object, Rig, deployment, pod, refused

pytestmark = pytest.mark.asyncio(loop_scope="session")

_ENFORCE = "pod-security.kubernetes.io/enforce"
_SAFE = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "main",
            "image": "app:1",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}


async def _quota(rig: Rig, **hard: str) -> None:
    body = {"metadata": {"name": "quota"}, "spec": {"hard": hard}}
    await rig.core.create_namespaced_resource_quota(rig.namespace, body)
    await rig.until(
        rig.core.list_namespaced_resource_quota, "quota", lambda item: set(item.status.used or ()) == set(hard)
    )


async def _until_used(rig: Rig, name: str, amount: str) -> None:
    await rig.until(
        rig.core.list_namespaced_resource_quota, "quota", lambda item: (item.status.used or {}).get(name) == amount
    )


async def _level(rig: Rig, level: str) -> None:
    """Set the level, and wait until the server acts on it: it reads namespaces from a cache."""
    await rig.core.patch_namespace(rig.namespace, {"metadata": {"labels": {_ENFORCE: level}}})
    while True:
        _, _, headers = await rig.apps.create_namespaced_deployment_with_http_info(
            rig.namespace,
            deployment("probe", template=_template(hostNetwork=True)),
            dry_run="All",
            _return_http_data_only=False,
        )
        if f'violate PodSecurity \\"{level}:latest\\"' in headers.get("Warning", ""):
            return


def _template(**spec: Any) -> Manifest:
    return {
        "metadata": {"labels": {"app": "probe"}},
        "spec": {"containers": [{"name": "main", "image": "app:1"}], **spec},
    }


async def test_quota_of_pods_is_kept(rig: Rig) -> None:
    await _quota(rig, pods="1")
    await rig.core.create_namespaced_pod(rig.namespace, pod("one"))
    await _until_used(rig, "pods", "1")
    refusal = await refused(rig.core.create_namespaced_pod(rig.namespace, pod("two")))
    assert (refusal.code, refusal.reason) == (403, "Forbidden")
    assert refusal.message == (
        'pods "two" is forbidden: exceeded quota: quota, requested: pods=1, used: pods=1, limited: pods=1'
    )


async def test_quota_of_any_object_is_kept(rig: Rig) -> None:
    await rig.until(rig.core.list_namespaced_config_map, "kube-root-ca.crt", lambda _item: True)
    await _quota(rig, **{"count/configmaps": "2"})
    await rig.config_map("one")
    refusal = await refused(rig.config_map("two"))
    assert "exceeded quota: quota, requested: count/configmaps=1, used: count/configmaps=2" in refusal.message
    await rig.core.delete_namespaced_config_map("one", rig.namespace)
    await _until_used(rig, "count/configmaps", "1")
    await rig.config_map("two")


async def test_quota_of_cpu_wants_every_container_to_say_its_share(rig: Rig) -> None:
    await _quota(rig, **{"requests.cpu": "1"})
    refusal = await refused(rig.core.create_namespaced_pod(rig.namespace, pod("one")))
    assert refusal.message == ('pods "one" is forbidden: failed quota: quota: must specify requests.cpu for: main')
    await rig.core.create_namespaced_pod(rig.namespace, _asking(pod("one"), cpu="600m"))
    refusal = await refused(rig.core.create_namespaced_pod(rig.namespace, _asking(pod("two"), cpu="600m")))
    assert "requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1" in refusal.message


def _asking(body: Manifest, **requests: str) -> Manifest:
    body["spec"]["containers"][0]["resources"] = {"requests": requests}
    return body


async def test_deployment_says_that_its_pods_are_refused(rig: Rig) -> None:
    await _quota(rig, pods="0")
    await rig.apps.create_namespaced_deployment(rig.namespace, deployment("one", replicas=1))
    told = await rig.until(
        rig.apps.list_namespaced_deployment, "one", lambda item: _condition(item, "ReplicaFailure") is not None
    )
    failure = _condition(told, "ReplicaFailure")
    assert (failure.status, failure.reason) == ("True", "FailedCreate")
    assert "exceeded quota: quota" in failure.message


def _condition(item: Object, kind: str) -> Object:
    return next((one for one in item.status.conditions or () if one.type == kind), None)


async def test_limit_range_fills_in_what_containers_do_not_say(rig: Rig) -> None:
    await _limit(rig, default={"cpu": "1"}, defaultRequest={"cpu": "100m", "memory": "64Mi"})
    made = await rig.core.create_namespaced_pod(rig.namespace, pod("one"))
    resources = made.spec.containers[0].resources
    assert (resources.limits, resources.requests) == ({"cpu": "1"}, {"cpu": "100m", "memory": "64Mi"})
    assert made.metadata.annotations == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu, memory request for container main; "
        "cpu limit for container main"
    }


async def test_limit_range_refuses_what_is_too_large(rig: Rig) -> None:
    await _limit(rig, max={"cpu": "2"}, default={"cpu": "1"})
    body = pod("one")
    body["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "3"}}
    refusal = await refused(rig.core.create_namespaced_pod(rig.namespace, body))
    assert (refusal.code, refusal.reason) == (403, "Forbidden")
    assert "maximum cpu usage per Container is 2, but limit is 3" in refusal.message


async def _limit(rig: Rig, **limit: Any) -> None:
    """Set a limit, and wait until the server acts on it: it reads them from a cache."""
    body = {"metadata": {"name": "limits"}, "spec": {"limits": [{"type": "Container", **limit}]}}
    await rig.core.create_namespaced_limit_range(rig.namespace, body)
    while True:
        tried = await rig.core.create_namespaced_pod(rig.namespace, pod("probe"), dry_run="All")
        if tried.spec.containers[0].resources.limits:
            return


async def test_restricted_namespace_refuses_pods_and_says_why(rig: Rig) -> None:
    await _level(rig, "restricted")
    refusal = await refused(rig.core.create_namespaced_pod(rig.namespace, pod("one")))
    assert (refusal.code, refusal.reason) == (403, "Forbidden")
    assert refusal.message == (
        'pods "one" is forbidden: violates PodSecurity "restricted:latest": '
        "allowPrivilegeEscalation != false "
        '(container "main" must set securityContext.allowPrivilegeEscalation=false), '
        "unrestricted capabilities "
        '(container "main" must set securityContext.capabilities.drop=["ALL"]), '
        'runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or container "main" must set securityContext.seccompProfile.type to '
        '"RuntimeDefault" or "Localhost")'
    )


async def test_restricted_namespace_takes_pods_that_keep_to_it(rig: Rig) -> None:
    await _level(rig, "restricted")
    await rig.core.create_namespaced_pod(rig.namespace, pod("one", **_SAFE))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"hostNetwork": True}, "host namespaces (hostNetwork=true)"),
        ({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}, 'hostPath volumes (volume "root")'),
        (
            {"containers": [{"name": "main", "image": "app:1", "securityContext": {"privileged": True}}]},
            'privileged (container "main" must not set securityContext.privileged=true)',
        ),
    ],
)
async def test_baseline_namespace_refuses_what_escapes(rig: Rig, spec: Manifest, reason: str) -> None:
    await _level(rig, "baseline")
    refusal = await refused(rig.core.create_namespaced_pod(rig.namespace, pod("one", **spec)))
    assert refusal.message == f'pods "one" is forbidden: violates PodSecurity "baseline:latest": {reason}'


async def test_baseline_namespace_takes_ordinary_pods(rig: Rig) -> None:
    await _level(rig, "baseline")
    await rig.core.create_namespaced_pod(rig.namespace, pod("one"))


async def test_workload_whose_pods_would_be_refused_is_warned_of(rig: Rig) -> None:
    await _level(rig, "restricted")
    made, status, headers = await rig.apps.create_namespaced_deployment_with_http_info(
        rig.namespace, deployment("one"), _return_http_data_only=False
    )
    assert (made.metadata.name, status) == ("one", 201)
    assert headers["Warning"].startswith('299 - "would violate PodSecurity \\"restricted:latest\\": ')


async def test_pod_of_a_missing_service_account_is_refused(rig: Rig) -> None:
    refusal = await refused(rig.core.create_namespaced_pod(rig.namespace, pod("one", serviceAccountName="nobody")))
    assert (refusal.code, refusal.reason) == (403, "Forbidden")
    assert refusal.message.endswith(
        f'error looking up service account {rig.namespace}/nobody: serviceaccount "nobody" not found'
    )


async def test_pod_of_a_missing_priority_class_is_refused(rig: Rig) -> None:
    refusal = await refused(rig.core.create_namespaced_pod(rig.namespace, pod("one", priorityClassName="nothing")))
    assert (refusal.code, refusal.reason) == (403, "Forbidden")
    assert "no PriorityClass with name nothing was found" in refusal.message


async def test_pod_gets_an_account_a_token_and_tolerations(rig: Rig) -> None:
    made = await rig.core.create_namespaced_pod(rig.namespace, pod("one"))
    assert made.spec.service_account_name == "default"
    assert [volume.name.startswith("kube-api-access-") for volume in made.spec.volumes] == [True]
    keys = {toleration.key for toleration in made.spec.tolerations}
    assert keys == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}


async def test_pod_without_a_token_gets_none(rig: Rig) -> None:
    body = pod("one", automountServiceAccountToken=False)
    made = await rig.core.create_namespaced_pod(rig.namespace, body)
    assert not made.spec.volumes
