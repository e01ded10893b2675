"""The real control plane, and that its pods behave as they are told."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kubernetes_asyncio.client import ApiClient, ApiException, AppsV1Api, BatchV1Api, Configuration, CoreV1Api
from kubernetes_asyncio.config import load_kube_config

from tests.servers import ServerError, real_kubernetes, run_kubernetes
from tests.servers.kubelet_pods import PREFIX

_WITHIN_S = 30.0


def test_missing_binaries_are_an_error_that_names_the_target(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"no kube-apiserver.*make kube"), run_kubernetes(tmp_path, tmp_path):
        pass


@pytest.mark.slow
async def test_deployment_becomes_ready_and_its_namespace_goes(cluster: "_Cluster") -> None:
    labels = {"app": "web"}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": pods}
    await cluster.apps.create_namespaced_deployment(cluster.namespace, {"metadata": {"name": "web"}, "spec": spec})

    async def available() -> bool:
        deployment = await cluster.apps.read_namespaced_deployment_status("web", cluster.namespace)
        return bool(deployment.status.available_replicas == 2)

    await _eventually(available)
    await cluster.core.delete_namespace(cluster.namespace)

    async def gone() -> bool:
        try:
            await cluster.core.read_namespace(cluster.namespace)
        except ApiException as error:
            return bool(error.status == 404)
        return False

    await _eventually(gone)


_JOB = {"restartPolicy": "Never"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("annotations", "spec", "reported"),
    [
        pytest.param({}, {}, ("Running", "running", None, None), id="ready"),
        pytest.param(
            {"behaviour": "complete", "message": "m"},
            _JOB,
            ("Succeeded", "terminated", "Completed", "m"),
            id="complete",
        ),
        pytest.param({"behaviour": "fail", "message": "m"}, _JOB, ("Failed", "terminated", "Error", "m"), id="fail"),
        pytest.param(
            {"behaviour": "fail", "reason": "OOMKilled"},
            _JOB,
            ("Failed", "terminated", "OOMKilled", None),
            id="fail-for-a-reason",
        ),
        pytest.param(
            {"behaviour": "fail"},
            {},
            ("Running", "waiting", "CrashLoopBackOff", "back-off 10s restarting failed container"),
            id="fail-again-and-again",
        ),
        pytest.param(
            {"behaviour": "fail", "reason": "ImagePullBackOff", "message": "m"},
            {},
            ("Pending", "waiting", "ImagePullBackOff", "m"),
            id="fail-before-the-start",
        ),
        pytest.param({"behaviour": "never"}, {}, ("Pending", "waiting", "ContainerCreating", None), id="never"),
        pytest.param(
            {"behaviour": "often"},
            {},
            ("Pending", "waiting", "UnknownBehaviour", f"{PREFIX}behaviour: often"),
            id="unknown",
        ),
    ],
)
async def test_pod_behaves_as_its_annotations_say(
    cluster: "_Cluster", annotations: Mapping[str, str], spec: Mapping[str, Any], reported: tuple[object, ...]
) -> None:
    await cluster.pod("told", annotations, spec)

    async def behaves() -> bool:
        return await cluster.reported("told") == reported

    await _eventually(behaves)


@pytest.mark.slow
async def test_running_pod_fails_when_it_is_told_to(cluster: "_Cluster") -> None:
    await cluster.pod("told", {}, _JOB)
    await _eventually(lambda: cluster.is_in("told", "Running"))
    annotations = {f"{PREFIX}behaviour": "fail", f"{PREFIX}exit-code": "3"}
    await cluster.core.patch_namespaced_pod("told", cluster.namespace, {"metadata": {"annotations": annotations}})
    await _eventually(lambda: cluster.is_in("told", "Failed"))
    pod = await cluster.core.read_namespaced_pod("told", cluster.namespace)
    assert pod.status.container_statuses[0].state.terminated.exit_code == 3


@pytest.mark.slow
async def test_unschedulable_pod_has_no_node(cluster: "_Cluster") -> None:
    await cluster.pod("told", {"behaviour": "never", "reason": "Unschedulable", "message": "Insufficient cpu"}, {})

    async def said() -> bool:
        pod = await cluster.core.read_namespaced_pod("told", cluster.namespace)
        assert pod.spec.node_name is None
        conditions = [(one.type, one.status, one.reason, one.message) for one in pod.status.conditions or ()]
        return conditions == [("PodScheduled", "False", "Unschedulable", "Insufficient cpu")]

    await _eventually(said)


@pytest.mark.slow
async def test_pods_of_a_job_complete(cluster: "_Cluster") -> None:
    pods = {"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "work", "image": "work"}]}}
    await cluster.batch.create_namespaced_job(
        cluster.namespace, {"metadata": {"name": "work"}, "spec": {"completions": 2, "template": pods}}
    )

    async def complete() -> bool:
        job = await cluster.batch.read_namespaced_job_status("work", cluster.namespace)
        return any(one.type == "Complete" and one.status == "True" for one in job.status.conditions or ())

    await _eventually(complete)


@pytest.mark.slow
async def test_watch_starts_with_all_there_is(cluster: "_Cluster") -> None:
    # The API server offers it on an etcd of its own age alone.
    response = await cluster.core.list_namespace(
        watch=True,
        send_initial_events=True,
        resource_version_match="NotOlderThan",
        allow_watch_bookmarks=True,
        timeout_seconds=1,
        _preload_content=False,
    )
    async with response:
        events = [json.loads(line) async for line in response.content]
    assert (cluster.namespace, "ADDED") in [
        (event["object"]["metadata"].get("name"), event["type"]) for event in events
    ]
    assert "BOOKMARK" in {event["type"] for event in events}


@pytest.mark.slow
async def test_everything_ends_with_the_block(kube_assets: Path, tmp_path: Path) -> None:
    async with (
        real_kubernetes(tmp_path / "kubernetes", kube_assets, controllers=False, kubelet=False) as kubeconfig,
        _client(kubeconfig) as client,
    ):
        core: Any = CoreV1Api(client)
        # Without controllers there are no service accounts, and a pod needs none.
        await core.create_namespaced_pod("default", _pod("lonely", {}, {}))
        port = int(str(client.configuration.host).rpartition(":")[2])
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)


class _Cluster:
    """Clients of the cluster, and a namespace of the test's own."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.namespace = namespace
        # None of their calls has types.
        self.core: Any = CoreV1Api(client)
        self.apps: Any = AppsV1Api(client)
        self.batch: Any = BatchV1Api(client)

    async def pod(self, name: str, annotations: Mapping[str, str], spec: Mapping[str, Any]) -> None:
        await self.core.create_namespaced_pod(self.namespace, _pod(name, annotations, spec))

    async def is_in(self, name: str, phase: str) -> bool:
        pod = await self.core.read_namespaced_pod(name, self.namespace)
        return bool(pod.status.phase == phase)

    async def reported(self, name: str) -> tuple[object, ...]:
        """Phase, state of the container, reason and message."""
        status = (await self.core.read_namespaced_pod(name, self.namespace)).status
        if not status.container_statuses:
            return (status.phase,)
        state = {kind: told for kind, told in status.container_statuses[0].state.to_dict().items() if told}
        ((kind, told),) = state.items()
        return status.phase, kind, told.get("reason"), told.get("message")


@pytest.fixture
async def cluster(real_kubeconfig: Path) -> AsyncIterator[_Cluster]:
    """The real cluster, with a new namespace whose end nobody waits for."""
    namespace = f"test-{uuid4()}"
    async with _client(real_kubeconfig) as client:
        cluster = _Cluster(client, namespace)
        await cluster.core.create_namespace({"metadata": {"name": namespace}})

        async def has_account() -> bool:
            accounts = await cluster.core.list_namespaced_service_account(namespace)
            return bool(accounts.items)

        await _eventually(has_account)
        yield cluster
        try:
            await cluster.core.delete_namespace(namespace)
        except ApiException as error:
            if error.status not in (404, 409):
                raise


@asynccontextmanager
async def _client(kubeconfig: Path) -> AsyncIterator[ApiClient]:
    configuration = Configuration()
    await load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)
    async with ApiClient(configuration) as client:
        yield client


def _pod(name: str, annotations: Mapping[str, str], spec: Mapping[str, Any]) -> dict[str, Any]:
    told = {PREFIX + key: value for key, value in annotations.items()}
    containers = [{"name": "main", "image": "main"}]
    return {"metadata": {"name": name, "annotations": told}, "spec": {"containers": containers, **spec}}


async def _eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """Returns when the check holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(_WITHIN_S):
        while not await check():
            await asyncio.sleep(0.1)
