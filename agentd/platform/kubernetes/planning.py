"""A cluster that plans: what would be written is asked of the server, remembered, and never written."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from agentd.core import (
    Action,
    Fence,
    FieldChange,
    NotReady,
    Permission,
    Plan,
    PlannedChange,
    Reason,
    TransientError,
    differences,
)
from agentd.platform.cluster import (
    Applied,
    Change,
    ChangeKind,
    Cluster,
    Kind,
    Manifest,
    Node,
    ObjectRef,
    Preview,
)
from agentd.platform.kubernetes import marks, scaling
from agentd.platform.kubernetes.authors import authors_of
from agentd.platform.kubernetes.content import said

# What a plan has in place of values that are secret.
_VALUE_BEFORE = "(secret)"
_VALUE_AFTER = "(another secret)"

_NAMESPACE = Kind("v1", "Namespace")
_SECRET = Kind("v1", "Secret")
_SECRET_FIELDS = ("data", "stringData")


@dataclass(frozen=True, slots=True)
class _Scale:
    """What a scale has set."""

    replicas: int
    annotations: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class _Planned:
    """An object that the plan would write: as it is, and as it would be by now; None where it is not."""

    live: Manifest | None
    now: Manifest | None
    scale: _Scale | None = None


class PlanningCluster(Cluster):
    """See Cluster.planning. What an apply would come to is the server's word; a scale and a delete need none.

    In a namespace that is itself only planned the server cannot be asked: what the manifest says is what would be there.
    """

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self._cluster = cluster
        self._plan = plan
        self._planned: dict[ObjectRef, _Planned] = {}

    async def get(self, ref: ObjectRef) -> Manifest | None:
        if self._is_leaving(ref.namespace):
            return None
        if ref in self._planned:
            return deepcopy(self._planned[ref].now)
        return await self._cluster.get(ref)

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        found = await self._cluster.list(kind, namespace=namespace, labels=labels)
        return self._with_planned(found, (kind,), namespace, labels or {})

    async def watch(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> AsyncIterator[Change]:
        for manifest in await self.list(kind, namespace=namespace, labels=labels):
            yield Change(ChangeKind.PRESENT, manifest)
        yield Change(ChangeKind.SYNCED)

    async def version(self) -> str:
        return await self._cluster.version()

    async def healthy(self) -> str | None:
        return await self._cluster.healthy()

    async def nodes(self) -> Sequence[Node]:
        return await self._cluster.nodes()

    async def allowed(self, permission: Permission, *, namespace: str | None = None) -> str | None:
        return await self._cluster.allowed(permission, namespace=namespace)

    async def apply(self, manifest: Manifest, *, fence: Fence, dry_run: bool = False) -> Applied:
        found = await self.preview(manifest, fence=fence)
        if not dry_run and found.applied in (Applied.CREATED, Applied.CHANGED):
            self._write(ObjectRef.of(manifest), found.before, found.after)
        return found.applied

    async def preview(self, manifest: Manifest, *, fence: Fence) -> Preview:
        ref = ObjectRef.of(manifest)
        if self._is_leaving(ref.namespace):
            raise NotReady(f"{ref} has to wait: namespace {ref.namespace} is to be deleted before it")
        planned = self._planned.get(ref)
        if planned is not None and planned.now is None and planned.live is not None:
            return Preview(Applied.CREATED, None, marks.marked(manifest, fence))
        found = await self._cluster.preview(manifest, fence=fence)
        if found.waits is not None and not self._is_coming(ref.namespace):
            raise NotReady(found.waits)
        if planned is None or planned.now is None:
            return found
        after = _with_scale(found.after, planned.scale, manifest)
        applied = Applied.UNCHANGED if said(after) == said(planned.now) else Applied.CHANGED
        return Preview(applied, planned.now, after)

    async def owned(
        self, kinds: Sequence[Kind], *, namespace: str | None, labels: Mapping[str, str], fence: Fence
    ) -> Sequence[Manifest]:
        found = await self._cluster.owned(kinds, namespace=namespace, labels=labels, fence=fence)
        return self._with_planned(found, kinds, namespace, {**labels, **marks.owned_by(fence)})

    async def scale(
        self, ref: ObjectRef, replicas: int, *, annotations: Mapping[str, str | None], fence: Fence
    ) -> bool:
        now = await self.get(ref)
        if now is None:
            raise TransientError(Reason.UNAVAILABLE, f"{ref} is not there")
        marks.check_own(now, ref, fence)
        marks.check_standing(now, ref)
        if scaling.is_scaled(now, replicas, annotations):
            return False
        self._write(ref, now, scaling.scaled(now, replicas, annotations))
        self._planned[ref] = replace(self._planned[ref], scale=_Scale(replicas, annotations))
        return True

    async def delete(self, ref: ObjectRef, *, fence: Fence, wait_s: float = 0.0) -> None:
        try:
            now = await self.get(ref)
        except NotReady:
            return  # with its kind all objects have gone
        if now is not None:
            self._delete(ref, now, fence)

    async def prune(
        self,
        kinds: Sequence[Kind],
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        keep: Sequence[ObjectRef],
        fence: Fence,
    ) -> Sequence[ObjectRef]:
        found = await self.owned(kinds, namespace=namespace, labels=labels, fence=fence)
        gone = [
            manifest for manifest in found if ObjectRef.of(manifest) not in keep and not marks.is_terminating(manifest)
        ]
        for manifest in gone:
            self._delete(ObjectRef.of(manifest), manifest, fence)
        return [ObjectRef.of(manifest) for manifest in gone]

    async def until(
        self,
        kind: Kind,
        *,
        namespace: str,
        labels: Mapping[str, str],
        done: Callable[[Sequence[Manifest]], bool],
        wait_s: float,
    ) -> Sequence[Manifest] | None:
        return None

    async def mounts_images(self) -> bool:
        return await self._cluster.mounts_images()

    def planning(self, plan: Plan) -> Cluster:
        return PlanningCluster(self, plan)

    def _delete(self, ref: ObjectRef, now: Manifest, fence: Fence) -> None:
        marks.check_own(now, ref, fence)
        if marks.is_terminating(now):
            self._planned[ref] = _Planned(now, None)
        else:
            self._write(ref, now, None)

    def _write(self, ref: ObjectRef, now: Manifest | None, after: Manifest | None) -> None:
        planned = self._planned.get(ref) or _Planned(now, now)
        self._planned[ref] = replace(planned, now=after, scale=None if after is None else planned.scale)
        self._plan.record(_change(ref, planned.live if now is None else now, after))

    def _with_planned(
        self,
        found: Sequence[Manifest],
        kinds: Sequence[Kind],
        namespace: str | None,
        labels: Mapping[str, str],
    ) -> Sequence[Manifest]:
        """What was found, with what the plan would have changed of it by now."""
        kept = [
            manifest
            for manifest in found
            if (ref := ObjectRef.of(manifest)) not in self._planned and not self._is_leaving(ref.namespace)
        ]
        return kept + [
            deepcopy(planned.now)
            for ref, planned in self._planned.items()
            if planned.now is not None
            and not self._is_leaving(ref.namespace)
            and ref.kind in kinds
            and (namespace is None or ref.namespace in (None, namespace))
            and labels.items() <= (planned.now["metadata"].get("labels") or {}).items()
        ]

    def _is_leaving(self, namespace: str | None) -> bool:
        """Whether the plan would have deleted the namespace by now."""
        planned = self._planned.get(ObjectRef(_NAMESPACE, namespace or ""))
        return planned is not None and planned.now is None

    def _is_coming(self, namespace: str | None) -> bool:
        """Whether the plan would have made by now what an object in the namespace may have to wait for."""
        return any(
            planned.live is None and planned.now is not None
            for ref, planned in self._planned.items()
            if ref.namespace == namespace or ref == ObjectRef(_NAMESPACE, namespace or "")
        )


def _change(ref: ObjectRef, before: Manifest | None, after: Manifest | None) -> PlannedChange:
    authors = () if before is None else authors_of(before, after)
    if after is None:
        return PlannedChange(str(ref), Action.DELETE, authors=authors)
    fields = differences(said(before), said(after))
    if ref.kind == _SECRET:
        fields = tuple(_hidden(field) for field in fields)
    return PlannedChange(str(ref), Action.CREATE if before is None else Action.CHANGE, fields, authors)


def _hidden(field: FieldChange) -> FieldChange:
    if not field.path.startswith(_SECRET_FIELDS):
        return field
    before = None if field.before is None else _VALUE_BEFORE
    return FieldChange(field.path, before, None if field.after is None else _VALUE_AFTER)


def _with_scale(after: Manifest, scale: _Scale | None, manifest: Manifest) -> Manifest:
    """What an earlier scale has set stays where the manifest says nothing of it."""
    if scale is None:
        return after
    given = manifest["metadata"].get("annotations") or {}
    replicas = manifest.get("spec", {}).get("replicas", scale.replicas)
    annotations = {key: value for key, value in scale.annotations.items() if key not in given}
    return scaling.scaled(after, replicas, annotations)
