"""Reading, watching, and asking about the cluster itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from agentd.core import NotReady, PermanentError, Permission, Reason, TransientError
from agentd.platform import Change, ChangeKind, Kind, ObjectRef
from agentd.platform.keys import OWNER_ID
from tests.conformance.cluster.relay import Fault, Where
from tests.conformance.cluster.support import CONFIG_MAP, Bench, Server, bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 30.0


def failure(code: int, reason: str = "", headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], Any]:
    said = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": code}
    return code, headers or {}, said


class Watch:
    """A watch on the config maps of the bench's namespace with the agent's own label."""

    def __init__(self, at: Bench) -> None:
        self._changes: AsyncIterator[Change] = at.cluster.watch(
            CONFIG_MAP, namespace=at.namespace, labels={OWNER_ID: at.owner_id}
        )

    async def next(self) -> tuple[ChangeKind, str | None]:
        """The next change, and of what."""
        async with asyncio.timeout(TIMEOUT_S):
            change = await anext(self._changes)
        return change.kind, None if change.manifest is None else change.manifest["metadata"]["name"]

    async def many(self, number: int) -> list[tuple[ChangeKind, str | None]]:
        """So many changes, sorted: the order of a listing is the server's."""
        return sorted([await self.next() for _ in range(number)], key=str)

    async def aclose(self) -> None:
        await self._changes.aclose()  # type: ignore[attr-defined] # a generator, by the port's contract


async def test_the_path_of_a_kind_is_asked_once(at: Bench) -> None:
    for _ in range(3):
        assert await at.cluster.get(at.ref()) is None
    assert at.counted("discover", "ok") == 1
    assert at.counted("get", "not_found") == 3


async def test_a_reference_must_fit_its_kind(at: Bench) -> None:
    for ref in (ObjectRef(CONFIG_MAP, "x"), ObjectRef(Kind("v1", "Namespace"), "x", "y")):
        with pytest.raises(PermanentError, match="namespace"):
            await at.cluster.get(ref)


async def test_a_kind_that_comes_later_is_found(at: Bench) -> None:
    group = f"{at.namespace}.example.com"
    kind = Kind(f"{group}/v1", "Widget")
    with pytest.raises(NotReady, match="no kind Widget"):
        await at.cluster.list(kind)
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 3}}}
                            },
                        }
                    },
                }
            ],
        },
    }
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await at.hands.call("POST", path, definition)
    try:
        await at.hands.until(f"/apis/{group}/v1", lambda found: found and found["resources"])
        await at.hands.until(f"/apis/{group}/v1/namespaces/{at.namespace}/widgets", lambda found: found)
        manifest = {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "metadata": {"name": "w", "namespace": at.namespace},
            "spec": {},
        }
        fence = at.fence()
        assert [str(await at.cluster.apply(manifest, fence=fence)) for _ in range(2)] == ["created", "unchanged"]
        newer = at.fence(fence.subject, generation=2)
        assert [str(await at.cluster.apply(manifest, fence=newer)) for _ in range(2)] == ["stamped", "unchanged"]
        (found,) = await at.cluster.list(kind, namespace=at.namespace)
        assert (found["kind"], found["spec"]) == ("Widget", {"size": 3})
    finally:
        await at.hands.delete(f"{path}/widgets.{group}")


async def test_a_listing_is_read_page_by_page_and_says_what_its_items_are(server: Server, tmp_path: Path) -> None:
    async with bench(server, tmp_path, page_size=2) as at:
        fence = at.fence()
        for number in range(5):
            await at.cluster.apply(at.config_map(f"x{number}"), fence=fence)
        found = await at.cluster.list(CONFIG_MAP, namespace=at.namespace, labels={OWNER_ID: at.owner_id})
        assert sorted(item["metadata"]["name"] for item in found) == [f"x{number}" for number in range(5)]
        assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "ConfigMap")}
        assert at.counted("list", "ok") == 3
        everywhere = await at.cluster.list(CONFIG_MAP, labels={OWNER_ID: at.owner_id})
        assert len(everywhere) == 5


async def test_a_listing_whose_pages_expire_is_begun_again(server: Server, tmp_path: Path) -> None:
    async with bench(server, tmp_path, page_size=2) as at:
        fence = at.fence()
        for number in range(3):
            await at.cluster.apply(at.config_map(f"x{number}"), fence=fence)
        labels = {OWNER_ID: at.owner_id}
        at.relay.show(Fault(Where.BEFORE, "GET", "continue=", answer=failure(410, "Expired")))
        assert len(await at.cluster.list(CONFIG_MAP, namespace=at.namespace, labels=labels)) == 3
        at.relay.show(Fault(Where.BEFORE, "GET", "continue=", answer=failure(410, "Expired"), times=None))
        with pytest.raises(TransientError, match=r"kubernetes list on .*configmaps: Expired"):
            await at.cluster.list(CONFIG_MAP, namespace=at.namespace, labels=labels)


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_a_read_is_repeated_while_the_fault_passes(at: Bench, code: int) -> None:
    await at.cluster.apply(at.config_map(), fence=at.fence())
    at.relay.show(Fault(Where.BEFORE, "GET", "/configmaps/x", answer=failure(code), times=2))
    assert await at.cluster.get(at.ref()) is not None
    assert at.relay.count("GET", "/configmaps/x") == 4


async def test_a_read_is_repeated_when_the_connection_breaks_but_not_for_ever(at: Bench) -> None:
    await at.cluster.get(at.ref())
    at.relay.show(Fault(Where.BEFORE, "GET", "/configmaps/x", times=None))
    with pytest.raises(TransientError, match=r"kubernetes get on .*configmap/x") as caught:
        await at.cluster.get(at.ref())
    assert caught.value.reason is Reason.UNAVAILABLE
    assert at.counted("get", "unavailable") == 4


async def test_a_read_does_not_wait_longer_than_it_may_for_a_server_that_asks_for_it(at: Bench) -> None:
    at.relay.show(Fault(Where.BEFORE, "GET", "/configmaps/x", answer=failure(429, "", {"Retry-After": "3600"})))
    with pytest.raises(TransientError) as caught:
        await at.cluster.get(at.ref())
    assert (caught.value.reason, caught.value.retry_after) == (Reason.THROTTLED, 3600.0)


async def test_a_read_ends_in_time(server: Server, tmp_path: Path) -> None:
    async with bench(server, tmp_path, call_timeout_s=1.0) as at:
        await at.cluster.version()
        at.relay.show(Fault(Where.BEFORE, "GET", "/version", hang=True))
        assert (await at.cluster.version()).startswith("v1.")
        assert at.counted("version", "unavailable") == 1


async def test_a_right_that_is_missing_is_told(at: Bench) -> None:
    said = failure(403, "Forbidden")
    at.relay.show(Fault(Where.BEFORE, "GET", "/configmaps/x", answer=said))
    with pytest.raises(PermanentError, match="the agent's identity lacks a right") as caught:
        await at.cluster.get(at.ref())
    assert caught.value.reason is Reason.ACCESS_DENIED


async def test_calls_at_once_are_bounded(server: Server, tmp_path: Path) -> None:
    most = now = 0

    async with bench(server, tmp_path, parallel_calls=2) as at:
        enough = asyncio.Event()

        async def company() -> None:
            nonlocal most, now
            now += 1
            most = max(most, now)
            if now == 2:
                enough.set()
            await enough.wait()
            now -= 1

        await at.cluster.get(at.ref())
        at.relay.show(Fault(Where.THROUGH, "GET", "/configmaps/", before=company, times=None))
        await asyncio.gather(*(at.cluster.get(at.ref(f"x{number}")) for number in range(8)))
    assert most == 2


async def test_a_watch_tells_what_there_is_and_then_what_changes(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map("a"), fence=fence)
    await at.cluster.apply(at.config_map("not ours".replace(" ", "-")), fence=at.fence(owner_id="somebody-else"))
    async with aclosing(Watch(at)) as watch:
        assert await watch.many(2) == [(ChangeKind.PRESENT, "a"), (ChangeKind.SYNCED, None)]
        await at.cluster.apply(at.config_map("b"), fence=fence)
        assert await watch.next() == (ChangeKind.PRESENT, "b")
        await at.cluster.apply(at.config_map("a", a="2"), fence=fence)
        assert await watch.next() == (ChangeKind.PRESENT, "a")
        await at.cluster.delete(at.ref("a"), fence=fence)
        assert await watch.next() == (ChangeKind.GONE, "a")


async def test_a_watch_goes_on_after_a_broken_connection_and_misses_nothing(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map("a"), fence=fence)
    async with aclosing(Watch(at)) as watch:
        await watch.many(2)
        at.relay.watching.clear()
        next_change = asyncio.ensure_future(watch.next())
        await at.relay.watching.wait()
        refused = at.relay.show(Fault(Where.BEFORE, "GET", "watch=true", answer=failure(503)))
        at.relay.cut()
        await at.cluster.delete(at.ref("a"), fence=fence)
        await at.cluster.apply(at.config_map("b"), fence=fence)
        assert await next_change == (ChangeKind.GONE, "a")
        assert await watch.next() == (ChangeKind.PRESENT, "b")
        assert refused.hits == 1
    assert at.counted("list", "ok") == 1


@pytest.mark.parametrize("told", ["as an answer", "as an event"])
async def test_a_watch_that_missed_too_much_lists_again_and_tells_what_went(at: Bench, told: str) -> None:
    fence = at.fence()
    for name in ("gone", "made anew", "stays"):
        await at.cluster.apply(at.config_map(name.replace(" ", "-")), fence=fence)
    async with aclosing(Watch(at)) as watch:
        await watch.many(4)
        at.relay.watching.clear()
        next_change = asyncio.ensure_future(watch.next())
        await at.relay.watching.wait()
        status, headers, said = failure(410, "Expired")
        event = json.dumps({"type": "ERROR", "object": said}) + "\n"
        answer = (status, headers, said) if told == "as an answer" else (200, headers, event)

        async def meanwhile() -> None:
            for name in ("gone", "made-anew"):
                await at.cluster.delete(at.ref(name), fence=fence)
            await at.cluster.apply(at.config_map("made-anew", a="2"), fence=fence)

        at.relay.show(Fault(Where.BEFORE, "GET", "watch=true", answer=answer, before=meanwhile))
        held = at.relay.show(Fault(Where.BEFORE, "GET", "limit=", answer=failure(503)))
        at.relay.cut()
        seen = [await next_change, *[await watch.next() for _ in range(4)]]
        assert sorted(seen[:2], key=str) == [(ChangeKind.GONE, "gone"), (ChangeKind.GONE, "made-anew")]
        assert sorted(seen[2:4], key=str) == [(ChangeKind.PRESENT, "made-anew"), (ChangeKind.PRESENT, "stays")]
        assert seen[4] == (ChangeKind.SYNCED, None)
        assert held.hits == 1
        await at.cluster.apply(at.config_map("new"), fence=fence)
        assert await watch.next() == (ChangeKind.PRESENT, "new")


async def test_a_watch_that_the_server_ends_is_begun_anew_where_it_was(at: Bench) -> None:
    fence = at.fence()
    ended = at.relay.show(Fault(Where.BEFORE, "GET", "watch=true", answer=(200, {}, ""), times=2))
    async with aclosing(Watch(at)) as watch:
        assert await watch.next() == (ChangeKind.SYNCED, None)
        begun = asyncio.ensure_future(watch.next())
        await at.relay.watching.wait()
        await at.cluster.apply(at.config_map("a"), fence=fence)
        assert await begun == (ChangeKind.PRESENT, "a")
    assert ended.hits == 2
    assert at.counted("list", "ok") == 1


async def test_a_watch_that_is_refused_for_good_ends(at: Bench) -> None:
    at.relay.show(Fault(Where.BEFORE, "GET", "watch=true", answer=failure(403, "Forbidden"), times=None))
    async with aclosing(Watch(at)) as watch:
        assert await watch.next() == (ChangeKind.SYNCED, None)
        with pytest.raises(PermanentError, match=r"kubernetes watch on .*configmaps"):
            await watch.next()


async def test_nodes_are_described(at: Bench) -> None:
    name = f"{at.namespace}-node"
    labels = {"node.kubernetes.io/instance-type": "m7g.large", "topology.kubernetes.io/zone": "eu-west-1b"}
    manifest = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"unschedulable": True},
    }
    await at.hands.call("POST", "/api/v1/nodes", manifest)
    status = {
        "capacity": {"cpu": "2", "memory": "8Gi"},
        "nodeInfo": {"kubeletVersion": "v1.36.3", "architecture": "arm64"},
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "MemoryPressure", "status": "True"}],
    }
    await at.hands.patch(f"/api/v1/nodes/{name}/status", {"status": status})
    nodes = await at.cluster.nodes()
    await at.hands.delete(f"/api/v1/nodes/{name}")
    assert [node.name for node in nodes] == sorted(node.name for node in nodes)
    others = [node for node in nodes if node.name != name]
    assert any(node.ready and not node.conditions for node in others)
    (node,) = (node for node in nodes if node.name == name)
    assert (node.instance_type, node.zone, node.architecture) == ("m7g.large", "eu-west-1b", "arm64")
    assert (node.ready, node.conditions, node.unschedulable) == (True, ("MemoryPressure",), True)
    assert (node.kubelet_version, node.capacity["memory"]) == ("v1.36.3", "8Gi")
    assert node.created_at is not None


async def test_the_version_and_the_health_of_the_server(at: Bench) -> None:
    assert (await at.cluster.version()).startswith("v1.")
    assert await at.cluster.healthy() is None
    at.relay.show(Fault(Where.BEFORE, "GET", "/readyz", answer=(500, {}, "[-]etcd failed: reason withheld")))
    said = await at.cluster.healthy()
    assert said is not None
    assert "etcd failed" in said
    at.relay.show(Fault(Where.BEFORE, "GET", "/readyz", times=None))
    with pytest.raises(TransientError, match="kubernetes ready on"):
        await at.cluster.healthy()


async def test_the_server_says_what_the_agent_may_do(at: Bench) -> None:
    for resource in ("configmaps", "deployments.apps", "pods/log", "deployments.apps/scale"):
        assert await at.cluster.allowed(Permission("kubernetes", "get", resource), namespace=at.namespace) is None
    asked = at.relay.calls[-1].body["spec"]["resourceAttributes"]
    assert asked == {
        "verb": "get",
        "group": "apps",
        "resource": "deployments",
        "subresource": "scale",
        "namespace": at.namespace,
    }
    said = {"status": {"allowed": False, "reason": "no rule for it"}}
    at.relay.show(Fault(Where.BEFORE, "POST", "accessreviews", answer=(201, {}, said)))
    why = await at.cluster.allowed(Permission("kubernetes", "delete", "nodes"))
    assert why == "the agent's identity may not delete nodes in the whole cluster: no rule for it"
