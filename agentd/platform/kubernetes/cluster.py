"""The cluster port on the Kubernetes API."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from http import HTTPStatus

from agentd.core import Fence, Permission, Plan, Runtime
from agentd.platform.cluster import Applied, Change, Cluster, Kind, Manifest, Node, ObjectRef, Preview
from agentd.platform.config import ClusterConfig
from agentd.platform.kubernetes import apply, deletion, marks, scaling
from agentd.platform.kubernetes.blockers import Blockers
from agentd.platform.kubernetes.calls import Calls, Request
from agentd.platform.kubernetes.connection import Connection
from agentd.platform.kubernetes.image_volumes import ImageVolumes
from agentd.platform.kubernetes.nodes import read_node
from agentd.platform.kubernetes.objects import Object
from agentd.platform.kubernetes.planning import PlanningCluster
from agentd.platform.kubernetes.resources import Resources
from agentd.platform.kubernetes.reviews import review
from agentd.platform.kubernetes.watching import Selection, Watching
from agentd.telemetry import Metrics

_NODE = Kind("v1", "Node")
_MOST_SAID = 500


class KubernetesCluster(Cluster):
    """Over one connection, which the caller opens and closes. It keeps nothing but what the server can do."""

    def __init__(self, connection: Connection, config: ClusterConfig, *, metrics: Metrics, runtime: Runtime) -> None:
        self._calls = Calls(connection, config, metrics, runtime)
        self._resources = Resources(self._calls)
        self._watching = Watching(self._calls, config, runtime)
        self._image_volumes = ImageVolumes(self._calls, config.system_namespace, runtime)
        self._deletion = deletion.Deletion(self._watching, Blockers(self._calls, self._resources))

    async def get(self, ref: ObjectRef) -> Manifest | None:
        return await (await self._object(ref)).get()

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        return (await self._watching.list(await self._selection(kind, namespace, labels))).items

    async def watch(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> AsyncIterator[Change]:
        async with aclosing(self._watching.changes(await self._selection(kind, namespace, labels))) as changes:
            async for change in changes:
                yield change

    async def version(self) -> str:
        answer = await self._calls.read(Request("version", "kubernetes:/version", "GET", "/version"))
        return str(answer["gitVersion"])

    async def healthy(self) -> str | None:
        status, text = await self._calls.text(Request("ready", "kubernetes:/readyz", "GET", "/readyz", accept="*/*"))
        return None if status == HTTPStatus.OK else f"{status}: {text[:_MOST_SAID]}"

    async def nodes(self) -> Sequence[Node]:
        return sorted((read_node(found) for found in await self.list(_NODE)), key=lambda node: node.name)

    async def allowed(self, permission: Permission, *, namespace: str | None = None) -> str | None:
        return await review(self._calls, permission, namespace)

    async def apply(self, manifest: Manifest, *, fence: Fence, dry_run: bool = False) -> Applied:
        if dry_run:
            return (await self.preview(manifest, fence=fence)).applied
        return await apply.apply(await self._object(ObjectRef.of(manifest)), manifest, fence)

    async def preview(self, manifest: Manifest, *, fence: Fence) -> Preview:
        return await apply.preview(await self._object(ObjectRef.of(manifest)), manifest, fence)

    async def owned(
        self, kinds: Sequence[Kind], *, namespace: str | None, labels: Mapping[str, str], fence: Fence
    ) -> Sequence[Manifest]:
        return [manifest for kind in kinds for _, manifest in await self._owned(kind, namespace, labels, fence)]

    async def scale(
        self, ref: ObjectRef, replicas: int, *, annotations: Mapping[str, str | None], fence: Fence
    ) -> bool:
        return await scaling.scale(await self._object(ref), replicas, annotations, fence)

    async def delete(self, ref: ObjectRef, *, fence: Fence, wait_s: float = 0.0) -> None:
        resource = await self._resources.find(ref.kind)
        if resource is None:
            return  # with its kind all objects have gone
        obj = Object(self._calls, resource, ref)
        await self._deletion.delete(obj, fence, wait_s)

    async def prune(
        self,
        kinds: Sequence[Kind],
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        keep: Sequence[ObjectRef],
        fence: Fence,
    ) -> Sequence[ObjectRef]:
        deleted: list[ObjectRef] = []
        for kind in kinds:
            found = await self._owned(kind, namespace, labels, fence)
            deleted += await deletion.prune(found, frozenset(keep), fence)
        return deleted

    async def until(
        self,
        kind: Kind,
        *,
        namespace: str,
        labels: Mapping[str, str],
        done: Callable[[Sequence[Manifest]], bool],
        wait_s: float,
    ) -> Sequence[Manifest] | None:
        return await self._watching.until(await self._selection(kind, namespace, labels), done, wait_s)

    async def mounts_images(self) -> bool:
        return await self._image_volumes.mounted()

    def planning(self, plan: Plan) -> Cluster:
        return PlanningCluster(self, plan)

    async def _owned(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str], fence: Fence
    ) -> Sequence[tuple[Object, Manifest]]:
        resource = await self._resources.find(kind)
        if resource is None:
            return []
        selection = Selection(resource, namespace if resource.namespaced else None, {**labels, **marks.owned_by(fence)})
        listing = await self._watching.list(selection)
        return [(Object(self._calls, resource, ObjectRef.of(item)), item) for item in listing.items]

    async def _object(self, ref: ObjectRef) -> Object:
        return Object(self._calls, await self._resources.of(ref.kind), ref)

    async def _selection(self, kind: Kind, namespace: str | None, labels: Mapping[str, str] | None) -> Selection:
        return Selection(await self._resources.of(kind), namespace, labels or {})
