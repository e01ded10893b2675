"""Hibernating environments and waking them."""

from collections import Counter
from typing import Any

import pytest

from agentd.core import PermanentError, Reason, Subject
from agentd.events import Quotas
from agentd.platform import Kind, keys
from handlers.manifests.kinds import DEPLOYMENT, STATEFUL_SET
from handlers.manifests.labels import AIRFLOW
from tests.unit.handlers.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

_OWNERSHIP = (keys.OWNER_ID, keys.ENVIRONMENT_ID, keys.GENERATION, keys.EVENT_ID)


def workload(at: World, kind: Kind, name: str, replicas: int | None) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "example/web:1",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    if kind == STATEFUL_SET:
        spec["serviceName"] = name
    metadata = {"name": name, "namespace": at.name}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "spec": spec}


async def running(at: World) -> None:
    """An environment with workloads of the agent's own, and one of somebody else's."""
    await at.run(at.create())
    await start_workloads(at, await marks_of(at))
    await at.writes()


async def marks_of(at: World) -> dict[str, str]:
    """What the agent marks the environment's objects with."""
    namespace = await at.namespace()
    assert namespace is not None
    found = namespace["metadata"]["labels"].items()
    return {key: text for key, text in found if key in (keys.MANAGED_BY, *_OWNERSHIP)}


async def start_workloads(at: World, marks: dict[str, str]) -> None:
    """Workloads of the agent's own, by their marks, and one of somebody else's."""
    for kind, name, count, labels in (
        (DEPLOYMENT, "web", 2, marks),
        (STATEFUL_SET, "db", None, marks),
        (DEPLOYMENT, "idle", 0, marks),
        (DEPLOYMENT, "theirs", 3, {}),
    ):
        manifest = workload(at, kind, name, count)
        manifest["metadata"]["labels"] = labels
        await at.hands.call("POST", f"/apis/apps/v1/namespaces/{at.name}/{kind.name.lower()}s", manifest)


async def replicas(at: World) -> dict[str, tuple[int, str | None]]:
    """How many replicas each workload but Airflow's own should have, and how many it remembers."""
    found = [item for kind in (DEPLOYMENT, STATEFUL_SET) for item in await at.cluster.list(kind, namespace=at.name)]
    return {
        item["metadata"]["name"]: (
            item["spec"]["replicas"],
            (item["metadata"].get("annotations") or {}).get(keys.REPLICAS),
        )
        for item in found
        if item["metadata"].get("labels", {}).get(keys.COMPONENT) != AIRFLOW
    }


AWAKE = {"web": (2, None), "db": (1, None), "idle": (0, None), "theirs": (3, None)}
ASLEEP = {"web": (0, "2"), "db": (0, "1"), "idle": (0, None), "theirs": (3, None)}


async def power(at: World) -> str:
    namespace = await at.namespace()
    assert namespace is not None
    label: str = namespace["metadata"]["labels"][keys.POWER]
    return label


async def test_hibernation_stops_what_is_the_agents_own_and_waking_starts_it_again(at: World) -> None:
    await running(at)
    asleep = await at.run(at.hibernate(), 2)
    assert asleep.changed
    assert await replicas(at) == ASLEEP
    assert await power(at) == "hibernated"
    awake = await at.run(at.wake(), 3)
    assert awake.changed
    assert await replicas(at) == AWAKE
    assert await power(at) == "awake"


async def test_hibernating_twice_remembers_the_first_counts(at: World) -> None:
    await running(at)
    first = await at.run(at.hibernate(), 2)
    await at.writes()
    again = await at.run(at.hibernate(), 2, event_id=first.event_id)
    assert await at.writes() == Counter()
    assert again.asked == []
    newer = await at.run(at.hibernate(), 3)
    assert not newer.changed
    assert await replicas(at) == ASLEEP


async def test_what_was_started_by_hand_is_stopped_and_the_counts_stay(at: World) -> None:
    await running(at)
    await at.run(at.hibernate(), 2)
    await at.hands.patch(f"/apis/apps/v1/namespaces/{at.name}/deployments/web", {"spec": {"replicas": 7}})
    await at.run(at.hibernate(), 3)
    assert await replicas(at) == ASLEEP


async def test_waking_what_is_awake_changes_nothing(at: World) -> None:
    await running(at)
    fence = await at.run(at.wake(), 2)
    assert not fence.changed
    assert await replicas(at) == AWAKE
    await at.writes()
    await at.run(at.wake(), 2)
    assert await at.writes() == Counter()


async def test_updates_and_deploys_keep_a_hibernated_environment_down(at: World) -> None:
    await running(at)
    shop = await at.project("shop")
    await at.run(at.hibernate(), 2)
    fence = at.registry.fence(Subject("environment", at.environment_id), 2)
    for generation, data in ((3, at.update(quotas=Quotas(cpu="3"))), (4, at.deploy(shop.deployment()))):
        # As if the event itself had brought a new workload.
        await at.cluster.apply(workload(at, DEPLOYMENT, f"new{generation}", 1), fence=fence)
        await at.run(data, generation)
        found = await replicas(at)
        assert found.pop(f"new{generation}") == (0, "1")
        assert ASLEEP.items() <= found.items()
        assert await power(at) == "hibernated"
        fence.generation = generation


async def test_a_hibernation_that_comes_late_does_not_undo_the_waking(at: World) -> None:
    await running(at)
    await at.run(at.wake(), 3)
    await at.run(at.hibernate(), 2)
    assert await replicas(at) == AWAKE
    assert await power(at) == "awake"


async def test_a_count_that_is_none_is_named(at: World) -> None:
    await running(at)
    await at.run(at.hibernate(), 2)
    broken = {"metadata": {"annotations": {keys.REPLICAS: "many"}}}
    await at.hands.patch(f"/apis/apps/v1/namespaces/{at.name}/deployments/web", broken)
    with pytest.raises(
        PermanentError, match=r"deployment/web: annotation .* is 'many' and should be a number"
    ) as caught:
        await at.run(at.wake(), 3)
    assert caught.value.reason is Reason.INVALID_REQUEST
