"""The chart on API servers: every object is strictly valid, and its pods are let in where only restricted ones are.

Nothing runs there: a kubelet that only says so makes the pods ready.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from helm_python import Config

from agentd.embedded import EmbeddedKubernetes
from tests.conformance.chart.support import CHART, SETS, rendered
from tests.conformance.cluster.support import Server, connect
from tests.servers.kube_control_plane import SERVERS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
_READY_S = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SERVERS)
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    if request.param == "real":
        async with connect("real", request.getfixturevalue("real_kubeconfig")) as real:
            yield real
        return
    kubeconfig = tmp_path_factory.mktemp("embedded") / "kubeconfig"
    async with EmbeddedKubernetes.start() as embedded, connect("embedded", embedded.kubeconfig(kubeconfig)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def namespace(server: Server) -> AsyncIterator[str]:
    """One that takes restricted pods alone, with what values refer to."""
    name = f"chart-{uuid4().hex[:8]}"
    await server.hands.call("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": _RESTRICTED}})
    place = f"/api/v1/namespaces/{name}"
    for secret in ("agentd-proxy-tls", "keys", "registry"):
        await server.hands.call("POST", f"{place}/secrets", {"metadata": {"name": secret}})
    await server.hands.call("POST", f"{place}/configmaps", {"metadata": {"name": "policy"}})
    await server.hands.call("POST", f"{place}/serviceaccounts", {"metadata": {"name": "somebody"}})
    yield name
    await server.hands.delete(place)


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
async def test_every_object_is_strictly_valid(server: Server, namespace: str, values: Mapping[str, Any]) -> None:
    for found in rendered(values):
        metadata = found["metadata"]
        if "namespace" in metadata:
            metadata["namespace"] = namespace
        taken = await server.hands.call("POST", collection(found), found, dryRun="All", fieldValidation="Strict")
        assert taken["metadata"]["name"] == metadata["name"]


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
async def test_it_is_installed_upgraded_and_uninstalled(
    server: Server, namespace: str, values: Mapping[str, Any]
) -> None:
    def install(config: Config) -> None:
        config.install(CHART, "agentd", dict(values), timeout=_READY_S)

    # Helm keeps what it knows of a release in the cluster, by calls in Protobuf, which the embedded server does not speak.
    storage = "memory" if server.name == "embedded" else None
    config = Config(kubeconfig_path=server.kubeconfig, namespace=namespace, storage_driver=storage)
    try:
        await asyncio.to_thread(install, config)
        deployment = await until_ready(server, namespace, values)
        assert deployment["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
        more = {**values, "podAnnotations": {"example.com/changed": "yes"}}
        await asyncio.to_thread(lambda: config.upgrade(CHART, "agentd", more, timeout=_READY_S))
        await until_ready(server, namespace, values)
        await asyncio.to_thread(lambda: config.uninstall("agentd", timeout=_READY_S))
    finally:
        config.close()
    kept = await server.hands.call("GET", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims")
    assert [claim["metadata"]["name"] for claim in kept["items"]] == (
        ["agentd"] if "storageClass" in values.get("storage", {}) else []
    )


async def until_ready(server: Server, namespace: str, values: Mapping[str, Any]) -> Any:
    """The Deployment, once as many pods as it wants have been let in, and are ready."""
    name = values.get("nameOverride", "agentd")
    wanted = values.get("replicas", 2)

    def is_ready(found: Any) -> bool:
        status = found.get("status", {})
        told = status.get("observedGeneration") == found["metadata"]["generation"]
        return (
            bool(told)
            and status.get("updatedReplicas") == status.get("readyReplicas") == status.get("replicas") == wanted
        )

    return await server.hands.until(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}", is_ready)


def collection(found: Mapping[str, Any]) -> str:
    """Where objects of its kind are created."""
    group, plural = found["apiVersion"], _PLURALS.get(found["kind"], f"{found['kind'].lower()}s")
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    place = f"/namespaces/{found['metadata']['namespace']}" if "namespace" in found["metadata"] else ""
    return f"{root}{place}/{plural}"


_PLURALS = {"NetworkPolicy": "networkpolicies"}
