"""From an object back to the event that made it what it is."""

import asyncio
from contextlib import aclosing

import pytest

from agentd.platform import ChangeKind, Kind, Manifest, ObjectRef
from agentd.platform.origin import Origin, object_of, origin
from agentd.telemetry import TelemetryConfig, Tracing
from tests.conformance.cluster.support import DEPLOYMENT, Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

_POD = Kind("v1", "Pod")
_ACCOUNT = Kind("v1", "ServiceAccount")
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def first_pod(at: Bench) -> ObjectRef:
    """The first pod of the namespace, once a controller has made it."""
    async with asyncio.timeout(30), aclosing(at.cluster.watch(_POD, namespace=at.namespace)) as changes:  # type: ignore[type-var]
        async for change in changes:
            if change.kind is ChangeKind.PRESENT and change.manifest is not None:
                return ObjectRef.of({"apiVersion": "v1", "kind": "Pod", **change.manifest})
    raise AssertionError("a watch does not end")


def pod(at: Bench, name: str, **spec: object) -> Manifest:
    """A pod that nobody owns."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": at.namespace},
        "spec": {"containers": [{"name": "main", "image": "example/web:1"}], **spec},
    }


async def test_a_pod_leads_by_its_owners_to_the_deployments_last_change(at: Bench) -> None:
    fence = at.fence()
    with Tracing(TelemetryConfig(), version="1", replica="a").span("event", traceparent=f"00-{_TRACE}-{'1' * 16}-01"):
        await at.cluster.apply(at.deployment(), fence=fence)
    # Claimed by a newer one, which had nothing to change.
    await at.cluster.apply(at.deployment(), fence=at.fence(fence.subject, generation=2))
    found = await origin(at.cluster, ref := await first_pod(at), owner_id=at.owner_id)
    assert found is not None
    assert [step.kind.name for step in found.path] == ["Pod", "ReplicaSet", "Deployment"]
    assert (found.path[0], found.path[-1]) == (ref, at.ref("web", DEPLOYMENT))
    assert found == Origin(found.path, str(fence.subject), 2, fence.event_id, _TRACE)
    of_others = await origin(at.cluster, ref, owner_id="another agent")
    assert of_others is not None
    assert (of_others.path[-1].kind.name, of_others.event_id) == ("Namespace", None)


async def test_a_worker_that_nobody_owns_leads_to_its_account(at: Bench) -> None:
    fence = at.fence()
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "shop", "namespace": at.namespace}}
    await at.cluster.apply(account, fence=fence)
    await at.hands.call("POST", f"/api/v1/namespaces/{at.namespace}/pods", pod(at, "task", serviceAccountName="shop"))
    found = await origin(at.cluster, at.ref("task", _POD), owner_id=at.owner_id)
    path = (at.ref("task", _POD), at.ref("shop", _ACCOUNT))
    assert found == Origin(path, str(fence.subject), 1, fence.event_id, None)


async def test_an_owner_that_was_made_anew_is_none(at: Bench) -> None:
    await at.cluster.apply(at.config_map("mine"), fence=at.fence())
    gone = {"apiVersion": "v1", "kind": "ConfigMap", "name": "mine", "uid": "00000000-0000-4000-8000-000000000000"}
    task = pod(at, "task")
    task["metadata"]["ownerReferences"] = [gone, {**gone, "apiVersion": "example.com/v1", "kind": "Thing"}]
    # A controller that cleans up after owners would take the pod away at once, as its owner is gone.
    task["metadata"]["finalizers"] = ["example.com/held"]
    path = f"/api/v1/namespaces/{at.namespace}/pods"
    await at.hands.call("POST", path, task)
    found = await origin(at.cluster, at.ref("task", _POD), owner_id=at.owner_id)
    assert found is not None
    assert at.ref("mine") not in found.path
    assert found.event_id is None
    await at.hands.patch(f"{path}/task", {"metadata": {"finalizers": None}})


async def test_what_is_not_there_has_no_origin(at: Bench) -> None:
    assert await origin(at.cluster, at.ref("nothing"), owner_id=at.owner_id) is None


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("pod/dev/web-1", ObjectRef(_POD, "web-1", "dev")),
        ("Deployment/dev/web", ObjectRef(DEPLOYMENT, "web", "dev")),
        ("kubernetes:dev/deployment/web", ObjectRef(DEPLOYMENT, "web", "dev")),
        ("namespace/dev", ObjectRef(Kind("v1", "Namespace"), "dev")),
        ("kubernetes:namespace/dev", ObjectRef(Kind("v1", "Namespace"), "dev")),
        ("namespace/dev/web", None),
        ("pod/web", None),
        ("pod/dev/", None),
        ("thing/dev/web", None),
        ("project/6f0c2a52-0000-4000-8000-000000000000", None),
        ("event/6f0c2a52-0000-4000-8000-000000000000", None),
        ("6f0c2a52-0000-4000-8000-000000000000", None),
    ],
)
async def test_how_objects_are_named(text: str, ref: ObjectRef | None) -> None:
    assert object_of(text) == ref
    if ref is not None:
        assert object_of(str(ref)) == ref
