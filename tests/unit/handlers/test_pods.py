"""What the API server admits into an environment, and what it refuses."""

from typing import Any

import pytest

from agentd.events import Quotas
from tests.conformance.cluster.support import Refused
from tests.unit.handlers.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

RESTRICTED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


async def start(at: World, name: str, security: dict[str, Any], **container: Any) -> Any:
    """Create a pod, as Airflow does."""
    main = {"name": "base", "image": "example/job:1", "securityContext": security, **container}
    spec = {"serviceAccountName": "airflow-worker", "restartPolicy": "Never", "containers": [main]}
    return await at.hands.call("POST", f"/api/v1/namespaces/{at.name}/pods", {"metadata": {"name": name}, "spec": spec})


async def environment(at: World, **quotas: Any) -> None:
    """An environment, once the quota counts the pods of its Airflow: five, and the migration's no more."""
    await at.run(at.create(quotas=Quotas(**quotas)))
    path = f"/api/v1/namespaces/{at.name}/resourcequotas/environment"
    await at.hands.until(path, lambda quota: (quota.get("status") or {}).get("used", {}).get("pods") == "5")


async def test_a_restricted_pod_is_admitted_and_asks_for_something(at: World) -> None:
    await environment(at)
    pod = await start(at, "job", RESTRICTED)
    [container] = pod["spec"]["containers"]
    assert container["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}}


@pytest.mark.parametrize(
    "security",
    [{"privileged": True}, {**RESTRICTED, "runAsNonRoot": False}, {}],
    ids=["privileged", "root", "says nothing"],
)
async def test_a_pod_that_is_not_restricted_is_refused(at: World, security: dict[str, Any]) -> None:
    await environment(at)
    with pytest.raises(Refused, match="violates PodSecurity"):
        await start(at, "job", security)


async def test_a_container_that_asks_for_nothing_asks_for_little(at: World) -> None:
    await environment(at, cpu="700m", memory="2816Mi")
    await start(at, "one", RESTRICTED)
    with pytest.raises(Refused, match="exceeded quota: environment"):
        await start(at, "two", RESTRICTED)


async def test_no_more_pods_than_the_quota_allows(at: World) -> None:
    await environment(at, pods=6)
    await start(at, "one", RESTRICTED)
    with pytest.raises(Refused, match="exceeded quota: environment"):
        await start(at, "two", RESTRICTED)


async def test_a_container_may_ask_for_more_than_the_default(at: World) -> None:
    await environment(at)
    resources = {"requests": {"cpu": "4", "memory": "16Gi"}, "limits": {"memory": "16Gi"}}
    pod = await start(at, "big", RESTRICTED, resources=resources)
    [container] = pod["spec"]["containers"]
    assert container["resources"] == resources


async def test_no_load_balancer_and_no_port_of_the_nodes(at: World) -> None:
    await environment(at)
    for kind in ("LoadBalancer", "NodePort"):
        service = {"metadata": {"name": "web"}, "spec": {"type": kind, "ports": [{"port": 80}]}}
        with pytest.raises(Refused, match="exceeded quota: environment"):
            await at.hands.call("POST", f"/api/v1/namespaces/{at.name}/services", service)
