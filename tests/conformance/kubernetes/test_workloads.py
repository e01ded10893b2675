"""Deployments, stateful sets and jobs, with pods that behave as their annotations say."""

from typing import Any

import pytest

from tests.conformance.kubernetes.rig import Manifest, Object, Rig, deployment, pod

pytestmark = pytest.mark.asyncio(loop_scope="session")

_PREFIX = "kubelet.conveyor.internal/"


def _told(body: Manifest, **behaviour: str) -> Manifest:
    """The pod, or the pod template of the object, with annotations."""
    template = body["spec"].get("template", body)
    annotations = {_PREFIX + name.replace("_", "-"): value for name, value in behaviour.items()}
    template.setdefault("metadata", {})["annotations"] = annotations
    return body


def _job(name: str, **spec: Any) -> Manifest:
    template = {"spec": {"containers": [{"name": "main", "image": "app:1"}], "restartPolicy": "Never"}}
    return {"metadata": {"name": name}, "spec": {"template": template, **spec}}


def _stateful_set(name: str, **spec: Any) -> Manifest:
    body = deployment(name, **spec)
    body["kind"] = "StatefulSet"
    body["spec"]["serviceName"] = name
    return body


def _condition(item: Object, kind: str) -> Object:
    return next((one for one in item.status.conditions or () if one.type == kind), None)


def _is_true(item: Object, kind: str) -> bool:
    return _condition_is(item, kind, "True")


def _condition_is(item: Object, kind: str, status: str) -> bool:
    condition = _condition(item, kind)
    return condition is not None and condition.status == status


async def test_pod_becomes_ready(rig: Rig) -> None:
    await rig.core.create_namespaced_pod(rig.namespace, pod("one"))
    ready = await rig.until(rig.core.list_namespaced_pod, "one", lambda item: _is_true(item, "Ready"))
    assert ready.status.phase == "Running"
    assert ready.spec.node_name
    assert ready.status.container_statuses[0].state.running is not None


async def test_pod_that_fails_says_how(rig: Rig) -> None:
    body = _told(pod("one", restartPolicy="Never"), behaviour="fail", exit_code="3", message="no luck")
    await rig.core.create_namespaced_pod(rig.namespace, body)
    failed = await rig.until(rig.core.list_namespaced_pod, "one", lambda item: item.status.phase == "Failed")
    ended = failed.status.container_statuses[0].state.terminated
    assert (ended.exit_code, ended.reason, ended.message) == (3, "Error", "no luck")


async def test_pod_that_completes_succeeds(rig: Rig) -> None:
    body = _told(pod("one", restartPolicy="Never"), behaviour="complete")
    await rig.core.create_namespaced_pod(rig.namespace, body)
    done = await rig.until(rig.core.list_namespaced_pod, "one", lambda item: item.status.phase == "Succeeded")
    assert done.status.container_statuses[0].state.terminated.exit_code == 0


async def test_pod_whose_image_is_not_there_waits(rig: Rig) -> None:
    await rig.core.create_namespaced_pod(rig.namespace, _told(pod("one"), behaviour="fail", reason="ImagePullBackOff"))
    waiting = await rig.until(rig.core.list_namespaced_pod, "one", lambda item: bool(item.status.container_statuses))
    assert waiting.status.phase == "Pending"
    assert waiting.status.container_statuses[0].state.waiting.reason == "ImagePullBackOff"


async def test_pod_that_no_node_takes_says_so(rig: Rig) -> None:
    body = _told(pod("one"), behaviour="never", reason="Unschedulable", message="0/3 nodes are available")
    await rig.core.create_namespaced_pod(rig.namespace, body)
    left = await rig.until(
        rig.core.list_namespaced_pod, "one", lambda item: _condition(item, "PodScheduled") is not None
    )
    scheduled = _condition(left, "PodScheduled")
    assert (scheduled.status, scheduled.reason) == ("False", "Unschedulable")
    assert scheduled.message == "0/3 nodes are available"


async def test_restarting_pod_that_fails_backs_off(rig: Rig) -> None:
    await rig.core.create_namespaced_pod(rig.namespace, _told(pod("one"), behaviour="fail", reason="OOMKilled"))
    crashed = await rig.until(rig.core.list_namespaced_pod, "one", lambda item: bool(item.status.container_statuses))
    status = crashed.status.container_statuses[0]
    assert status.state.waiting.reason == "CrashLoopBackOff"
    assert (status.last_state.terminated.reason, status.last_state.terminated.exit_code) == ("OOMKilled", 137)


async def test_deployment_becomes_available(rig: Rig) -> None:
    await rig.apps.create_namespaced_deployment(rig.namespace, deployment("one", replicas=2))
    ready = await rig.until(rig.apps.list_namespaced_deployment, "one", _is_rolled_out)
    assert (ready.status.replicas, ready.status.updated_replicas, ready.status.available_replicas) == (2, 2, 2)
    assert _condition(ready, "Available").reason == "MinimumReplicasAvailable"
    pods = await rig.core.list_namespaced_pod(rig.namespace, label_selector="app=one")
    assert len(pods.items) == 2
    (replica_set,) = (await rig.apps.list_namespaced_replica_set(rig.namespace)).items
    assert {item.metadata.owner_references[0].uid for item in pods.items} == {replica_set.metadata.uid}
    assert replica_set.metadata.annotations["deployment.kubernetes.io/revision"] == "1"


def _is_rolled_out(item: Object) -> bool:
    progressing, status = _condition(item, "Progressing"), item.status
    return (
        status.observed_generation == item.metadata.generation
        and status.updated_replicas == status.available_replicas == status.replicas == item.spec.replicas
        and progressing is not None
        and progressing.reason == "NewReplicaSetAvailable"
    )


async def test_deployment_rolls_out_a_new_template(rig: Rig) -> None:
    await rig.apps.create_namespaced_deployment(rig.namespace, deployment("one", replicas=2))
    await rig.until(rig.apps.list_namespaced_deployment, "one", _is_rolled_out)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}}
    await rig.apps.patch_namespaced_deployment("one", rig.namespace, patch)
    rolled = await rig.until(rig.apps.list_namespaced_deployment, "one", _is_rolled_out)
    assert rolled.metadata.annotations["deployment.kubernetes.io/revision"] == "2"
    sets = (await rig.apps.list_namespaced_replica_set(rig.namespace)).items
    sizes = {item.spec.template.spec.containers[0].image: item.spec.replicas for item in sets}
    assert sizes == {"app:1": 0, "app:2": 2}


async def test_recreated_pods_come_after_the_old_ones_are_gone(rig: Rig) -> None:
    body = deployment("one", replicas=2, strategy={"type": "Recreate"})
    await rig.apps.create_namespaced_deployment(rig.namespace, body)
    await rig.until(rig.apps.list_namespaced_deployment, "one", _is_rolled_out)
    old = {item.metadata.uid for item in (await rig.core.list_namespaced_pod(rig.namespace)).items}
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}}
    await rig.apps.patch_namespaced_deployment("one", rig.namespace, patch)
    await rig.until(rig.apps.list_namespaced_deployment, "one", _is_rolled_out)
    new = {item.metadata.uid for item in (await rig.core.list_namespaced_pod(rig.namespace)).items}
    assert len(new) == 2
    assert not new & old


async def test_deployment_of_pods_that_never_come_up_is_not_available(rig: Rig) -> None:
    body = _told(deployment("one", replicas=1), behaviour="fail", reason="ErrImagePull")
    await rig.apps.create_namespaced_deployment(rig.namespace, body)
    waiting = await rig.until(
        rig.apps.list_namespaced_deployment, "one", lambda item: item.status.unavailable_replicas == 1
    )
    assert _condition(waiting, "Available").status == "False"


async def test_rollout_that_does_not_advance_is_stuck(rig: Rig) -> None:
    body = _told(deployment("one", replicas=1, progressDeadlineSeconds=1), behaviour="fail", reason="ErrImagePull")
    await rig.apps.create_namespaced_deployment(rig.namespace, body)
    stuck = await rig.until(
        rig.apps.list_namespaced_deployment, "one", lambda item: _condition_is(item, "Progressing", "False")
    )
    progressing = _condition(stuck, "Progressing")
    assert progressing.reason == "ProgressDeadlineExceeded"
    assert progressing.message.endswith("has timed out progressing.")


async def test_stateful_set_numbers_its_pods_and_keeps_their_claims(rig: Rig) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    body = _stateful_set("one", replicas=2, volumeClaimTemplates=[claim])
    await rig.apps.create_namespaced_stateful_set(rig.namespace, body)
    ready = await rig.until(rig.apps.list_namespaced_stateful_set, "one", lambda item: item.status.ready_replicas == 2)
    assert ready.status.current_revision == ready.status.update_revision
    pods = (await rig.core.list_namespaced_pod(rig.namespace)).items
    assert [item.metadata.name for item in pods] == ["one-0", "one-1"]
    await rig.apps.delete_namespaced_stateful_set("one", rig.namespace)
    await rig.until_gone(rig.core.list_namespaced_pod, "one-0")
    claims = (await rig.core.list_namespaced_persistent_volume_claim(rig.namespace)).items
    assert [item.metadata.name for item in claims] == ["data-one-0", "data-one-1"]


async def test_job_completes(rig: Rig) -> None:
    await rig.batch.create_namespaced_job(rig.namespace, _job("one", completions=2, parallelism=2))
    done = await rig.until(rig.batch.list_namespaced_job, "one", lambda item: _is_true(item, "Complete"))
    assert (done.status.succeeded, done.status.active, done.status.failed) == (2, None, None)
    assert done.status.completion_time is not None


async def test_job_fails_when_its_pods_do(rig: Rig) -> None:
    body = _told(_job("one", backoffLimit=1), behaviour="fail", exit_code="3")
    await rig.batch.create_namespaced_job(rig.namespace, body)
    failed = await rig.until(rig.batch.list_namespaced_job, "one", lambda item: _is_true(item, "Failed"))
    assert failed.status.failed == 2
    assert _condition(failed, "Failed").reason == "BackoffLimitExceeded"


async def test_suspended_job_has_no_pods(rig: Rig) -> None:
    await rig.batch.create_namespaced_job(rig.namespace, _job("one", suspend=True))
    await rig.until(rig.batch.list_namespaced_job, "one", lambda item: item.status.ready == 0)
    assert not (await rig.core.list_namespaced_pod(rig.namespace)).items
    await rig.batch.patch_namespaced_job("one", rig.namespace, {"spec": {"suspend": False}})
    await rig.until(rig.batch.list_namespaced_job, "one", lambda item: _is_true(item, "Complete"))


async def test_job_is_deleted_when_its_time_is_over(rig: Rig) -> None:
    await rig.batch.create_namespaced_job(rig.namespace, _job("one", ttlSecondsAfterFinished=0))
    await rig.until_gone(rig.batch.list_namespaced_job, "one")


async def test_job_that_goes_does_not_hold_its_pods(rig: Rig) -> None:
    await rig.batch.create_namespaced_job(rig.namespace, _told(_job("one"), behaviour="ready"))
    await rig.until(rig.batch.list_namespaced_job, "one", lambda item: item.status.ready == 1)
    (running,) = (await rig.core.list_namespaced_pod(rig.namespace)).items
    await rig.batch.delete_namespaced_job("one", rig.namespace, propagation_policy="Background")
    await rig.until_gone(rig.core.list_namespaced_pod, running.metadata.name)
