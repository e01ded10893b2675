"""Looks that last until things are as they should be, and what the server can do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from agentd.core import NotReady, PermanentError
from agentd.platform import Manifest
from agentd.platform.kubernetes import KubernetesCluster
from tests.conformance.cluster.relay import Fault, Where
from tests.conformance.cluster.support import CONFIG_MAP, Bench, adapter

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _has(*names: str) -> Callable[[Sequence[Manifest]], bool]:
    return lambda found: {one["metadata"]["name"] for one in found} == set(names)


async def test_a_look_ends_when_things_are_as_they_should_be(at: Bench) -> None:
    fence = at.fence()
    labels = {"app": "x"}
    one, other = (
        {**at.config_map(name), "metadata": {"name": name, "namespace": at.namespace, "labels": labels}}
        for name in ("one", "other")
    )
    await at.cluster.apply(one, fence=fence)

    async def look(*names: str, wait_s: float = 20.0) -> Sequence[Manifest] | None:
        return await at.cluster.until(
            CONFIG_MAP, namespace=at.namespace, labels=labels, done=_has(*names), wait_s=wait_s
        )

    assert await look("one", wait_s=0.0) is None
    async with asyncio.TaskGroup() as group:
        both = group.create_task(look("one", "other"))
        await at.cluster.apply(other, fence=fence)
    assert both.result() is None
    left = await look("one", wait_s=0.1)
    assert left is not None
    assert _has("one", "other")(left)
    async with asyncio.TaskGroup() as group:
        alone = group.create_task(look("one"))
        await at.cluster.delete(at.ref("other"), fence=fence)
    assert alone.result() is None


async def test_a_look_that_may_not_watch_says_so(at: Bench) -> None:
    denied: tuple[int, dict[str, str], object] = (
        403,
        {},
        {"kind": "Status", "reason": "Forbidden", "message": "not you", "code": 403},
    )
    at.relay.show(Fault(Where.BEFORE, "GET", "watch=true", answer=denied))
    with pytest.raises(PermanentError, match="not you"):
        await at.cluster.until(CONFIG_MAP, namespace=at.namespace, labels={}, done=_has("one"), wait_s=20.0)


async def test_a_look_whose_watch_breaks_tells_what_it_has_seen(at: Bench) -> None:
    at.relay.show(Fault(Where.BEFORE, "GET", "watch=true"))
    found = await at.cluster.until(
        CONFIG_MAP, namespace=at.namespace, labels={"app": "none"}, done=_has("one"), wait_s=20.0
    )
    assert found == []


@asynccontextmanager
async def at_home(at: Bench) -> AsyncIterator[KubernetesCluster]:
    """The same cluster for an agent that lives in the bench's namespace, once pods can be made there."""
    await at.hands.until(f"/api/v1/namespaces/{at.namespace}/serviceaccounts/default", lambda found: found is not None)
    async with adapter(at.config.model_copy(update={"system_namespace": at.namespace})) as cluster:
        yield cluster


async def test_whether_images_are_mounted_is_asked_once_in_a_while(at: Bench) -> None:
    async with at_home(at) as cluster:
        assert await cluster.mounts_images()
        asked = [call for call in at.relay.calls if call.path.endswith("/pods")]
        assert await cluster.mounts_images()
    assert len(asked) == 1
    assert [call for call in at.relay.calls if call.path.endswith("/pods")] == asked
    assert at.relay.writes == []


async def test_a_server_that_drops_such_volumes_mounts_none(at: Bench) -> None:
    said = {"spec": {"volumes": [{"name": "probe", "emptyDir": {}}]}}
    at.relay.show(Fault(Where.BEFORE, "POST", "/pods", answer=(201, {}, said)))
    async with at_home(at) as cluster:
        assert not await cluster.mounts_images()


async def test_an_agent_without_a_namespace_waits_for_it(at: Bench) -> None:
    config = at.config.model_copy(update={"system_namespace": f"{at.namespace}-other"})
    async with adapter(config) as cluster:
        with pytest.raises(NotReady, match=f"namespace {at.namespace}-other is not there"):
            await cluster.mounts_images()
