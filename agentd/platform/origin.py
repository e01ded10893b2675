"""From an object of the cluster back to what made it: by its owners, then by whom its pod runs as, to an object with marks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentd.platform import keys
from agentd.platform.cluster import FIELD_MANAGER, ClusterReader, Kind, Manifest, ObjectRef

_NAMESPACE = Kind("v1", "Namespace")
_SERVICE_ACCOUNT = Kind("v1", "ServiceAccount")
_POD = Kind("v1", "Pod")
_KINDS = {
    kind.name.lower(): kind
    for kind in (
        _NAMESPACE,
        _POD,
        _SERVICE_ACCOUNT,
        Kind("v1", "ConfigMap"),
        Kind("v1", "LimitRange"),
        Kind("v1", "PersistentVolumeClaim"),
        Kind("v1", "ResourceQuota"),
        Kind("v1", "Secret"),
        Kind("v1", "Service"),
        Kind("apps/v1", "Deployment"),
        Kind("apps/v1", "ReplicaSet"),
        Kind("apps/v1", "StatefulSet"),
        Kind("batch/v1", "Job"),
        Kind("coordination.k8s.io/v1", "Lease"),
        Kind("networking.k8s.io/v1", "NetworkPolicy"),
        Kind("policy/v1", "PodDisruptionBudget"),
        Kind("rbac.authorization.k8s.io/v1", "Role"),
        Kind("rbac.authorization.k8s.io/v1", "RoleBinding"),
    )
}
# An object of an environment may name its project as well; the environment's events are what made it.
_SUBJECTS = ("environment", "project", "package")
_SCHEME = "kubernetes:"
_MOST_OWNERS = 8  # a pod has two above it


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object comes from.

    `path` leads from the object to the one that carries the agent's marks; to the last that was found when none does, and
    everything else is then None. The event `event_id` made the last change of the content, within the trace `trace_id`;
    `generation` is the newest that has claimed it.
    """

    path: tuple[ObjectRef, ...]
    subject: str | None = None
    generation: int | None = None
    event_id: str | None = None
    trace_id: str | None = None


def object_of(text: str) -> ObjectRef | None:
    """The object that a text names: `pod/dev/web-1`, `namespace/dev`, or as logs and reports have it,

    `kubernetes:dev/pod/web-1`. None for any other text, and for kinds that environments are not made of.
    """
    match text.removeprefix(_SCHEME).split("/"):
        case [namespace, kind_name, name] if text.startswith(_SCHEME):
            pass
        case [kind_name, namespace, name]:
            pass
        case [kind_name, name]:
            namespace = ""
        case _:
            return None
    kind = _KINDS.get(kind_name.lower())
    if kind is None or not name or (kind == _NAMESPACE) is bool(namespace):
        return None
    return ObjectRef(kind, name, namespace or None)


async def origin(cluster: ClusterReader, ref: ObjectRef, *, owner_id: str) -> Origin | None:
    """Where the object comes from; None when it is not there. Marks count that have this owner id."""
    live = await cluster.get(ref)
    if live is None:
        return None
    path = [ref]
    while (found := _marked(live, tuple(path), owner_id)) is None:
        above = await _above(cluster, live, path)
        if above is None:
            return Origin(tuple(path))
        live = above
        path.append(ObjectRef.of(live))
    return found


async def _above(cluster: ClusterReader, live: Manifest, path: list[ObjectRef]) -> Manifest | None:
    """The object that this one exists for, as far as it is there and has not been looked at."""
    if len(path) > _MOST_OWNERS:
        return None
    for ref, uid in _candidates(live):
        found = None if ref in path else await cluster.get(ref)
        if found is not None and uid in (None, found["metadata"]["uid"]):
            return found
    return None


def _candidates(live: Manifest) -> Iterator[tuple[ObjectRef, str | None]]:
    """Its controller, its other owners, the account that it runs as, its namespace; of owners with the uid they must have."""
    metadata = live["metadata"]
    namespace = metadata.get("namespace")
    for owner in sorted(metadata.get("ownerReferences") or (), key=lambda owner: not owner.get("controller")):
        kind = Kind(owner["apiVersion"], owner["kind"])
        if _KINDS.get(kind.name.lower()) == kind:  # the agent may read no others
            yield ObjectRef(kind, owner["name"], namespace), owner["uid"]
    if namespace is None:
        return
    if Kind.of(live) == _POD:
        # Airflow makes its workers itself, without an owner: whose account they have says what they run for.
        account = live["spec"].get("serviceAccountName") or "default"
        yield ObjectRef(_SERVICE_ACCOUNT, account, namespace), None
    yield ObjectRef(_NAMESPACE, namespace), None


def _marked(live: Manifest, path: tuple[ObjectRef, ...], owner_id: str) -> Origin | None:
    """What the marks on an object say; None for one that is not the agent's own."""
    labels: Mapping[str, str] = live["metadata"].get("labels") or {}
    if (labels.get(keys.MANAGED_BY), labels.get(keys.OWNER_ID)) != (FIELD_MANAGER, owner_id):
        return None
    uuids = ((kind, labels.get(f"{keys.PREFIX}/{kind}-id")) for kind in _SUBJECTS)
    generation = labels.get(keys.GENERATION, "")
    return Origin(
        path,
        subject=next((f"{kind}/{uuid}" for kind, uuid in uuids if uuid), None),
        generation=int(generation) if generation.isdecimal() else None,
        event_id=labels.get(keys.EVENT_ID),
        trace_id=labels.get(keys.TRACE_ID),
    )
