"""Declared permissions are those that are used: what handlers ask of the cluster and the cloud is within them."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from agentd.core import NotReady
from agentd.events import (
    EnvironmentUnlock,
    EventData,
    NetworkEgress,
    ProjectConfigure,
    ProjectCreate,
    ProjectDelete,
)
from agentd.platform import Identities
from agentd.platform.aws.session import AwsSession
from tests.conformance.cluster.relay import Seen
from tests.conformance.identities.support import bench as iam_bench
from tests.unit.handlers.test_power import running
from tests.unit.handlers.world import BY_EVENT, Project, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


def used(seen: Seen) -> tuple[str, str] | None:
    """Verb and resource of a call, as authorization names them; None for what needs no right of its own."""
    parts = seen.path.strip("/").split("/")
    group, inside = ("", parts[2:]) if parts[0] == "api" else (f".{parts[1]}" if len(parts) > 1 else "", parts[3:])
    if inside and inside[0] == "namespaces" and len(inside) > 2:
        inside = inside[2:]
    if not inside or "PartialObjectMetadataList" in seen.headers.get("Accept", ""):
        return (
            None  # discovery, and a look at what holds a namespace up: where that is not allowed, the message says so
        )
    verbs = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "GET": "get" if len(inside) > 1 else "list"}
    verb = "watch" if seen.query.get("watch") else verbs[seen.method]
    return verb, f"{inside[0]}{group}"


async def attempts(at: World, data: EventData, generation: int) -> None:
    context = at.begin(data, generation)
    for _ in range(10):
        try:
            await at.resume(data, context)
        except NotReady:
            continue
        return


def events(at: World, shop: Project, lib: Project) -> Iterator[EventData]:
    """Each event, and each way through its handler that asks for something else."""
    first, second = shop.builds
    yield ProjectCreate(project_id=shop.id, project_name="shop", default_identity="x")
    yield ProjectConfigure(project_id=shop.id, project_name="shop", settings={"a": "1"})
    yield at.create(network_egress=NetworkEgress(internet=False))
    yield at.update()
    yield at.deploy(shop.deployment(first), lib.deployment())
    yield at.deploy(shop.deployment(second), iam_identity="given")
    yield at.hibernate()
    yield at.wake()
    yield at.unlock()
    yield at.delete()
    yield ProjectDelete(project_id=shop.id, project_name="shop", force=True)


async def everything(at: World, check: Callable[[EventData], Awaitable[None]]) -> None:
    """Plan and run all events on an environment with workloads, a change of builds and a dead holder of its lock."""
    await running(at)
    shop, lib = await at.project("shop", builds=2), await at.project("lib")
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{at.name}/leases/conveyor-environment"
    dead = {"holderIdentity": "x", "leaseDurationSeconds": 1, "renewTime": "2020-01-01T00:00:00.000000Z"}
    for generation, data in enumerate(events(at, shop, lib), start=2):
        if isinstance(data, EnvironmentUnlock):
            await at.hands.patch(lease, {"spec": dead})
        await at.writes()
        await at.plan(data, generation)
        await check(data)
        await at.writes()
        await attempts(at, data, generation)
        await check(data)
    assert await at.namespace() is None


async def test_declared_permissions_cover_what_is_used(at: World, session: AwsSession) -> None:
    async with iam_bench(session, owner_id=at.registry.owner_id) as iam:
        at.control.ports[Identities] = iam.identities
        await everything(at, lambda data: _check(at, data))


async def _check(at: World, data: EventData) -> None:
    permissions = BY_EVENT[type(data)].permissions
    declared = {(permission.service, permission.action, permission.resource) for permission in permissions}
    cluster: set[tuple[Any, ...]] = {("kubernetes", *found) for found in map(used, at.relay.calls) if found is not None}
    assert cluster <= declared, sorted(cluster - declared)
    cloud = {f"{service}:{operation}" for service, operation in await at.cloud.calls()}
    actions = {permission.action for permission in permissions}
    assert cloud <= actions, sorted(cloud - actions)
