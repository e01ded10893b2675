"""Which kinds there are: names, scope, verbs and subresources. Built-in ones are a table; custom ones come and go.

Source: the API's discovery documents of 1.36.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from agentd.embedded.kube.schema import Type, definitions

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_NAMESPACE_VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")
_CREATE_ONLY = ("create",)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind in one version, and how its objects behave."""

    group: str
    version: str
    kind: str
    plural: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False
    """It has a status subresource."""
    scale: bool = False
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    counts_generations: bool = False
    """metadata.generation grows when anything but metadata and status changes."""
    create_on_update: bool = False
    """A PUT makes what is not there."""
    unconditional_update: bool = True
    """A PUT without resourceVersion replaces whatever is there."""
    custom: bool = False
    list_kind: str = ""
    singular: str = ""
    selectable: tuple[str, ...] = ()
    """Fields that a selector may name, beside those of every kind."""
    scale_paths: tuple[str, str, str] = (".spec.replicas", ".status.replicas", ".status.selector")
    """Where a custom resource has its wanted and actual number of replicas, and their selector."""
    type_: Type | None = field(default=None, compare=False, repr=False)

    @property
    def api_version(self) -> str:
        """apps/v1, or v1 in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> tuple[str, str]:
        """What identifies the objects, whatever the version."""
        return (self.group, self.plural)

    @property
    def type(self) -> Type:
        """What fields its objects have."""
        return self.type_ or definitions().kind(self.group, self.version, self.kind)

    @property
    def listed_as(self) -> str:
        """The kind of a list of them."""
        return self.list_kind or f"{self.kind}List"


class Kinds:
    """All kinds that are served now."""

    def __init__(self) -> None:
        self._by_path = {(kind.group, kind.version, kind.plural): kind for kind in BUILT_IN}
        self._versions = {(kind.group, kind.version) for kind in BUILT_IN}

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._by_path.values())

    def at(self, group: str, version: str, plural: str) -> Kind | None:
        """The kind that a request's path names."""
        return self._by_path.get((group, version, plural))

    def has(self, group: str, version: str) -> bool:
        """Whether anything is served in this version of the group."""
        return (group, version) in self._versions

    def of(self, group: str, version: str, kind: str) -> Kind | None:
        """The kind that an object names."""
        return next(
            (found for found in self if (found.group, found.version, found.kind) == (group, version, kind)), None
        )

    def stored(self, group: str, plural: str) -> Kind | None:
        """The first version of a resource: what the server itself writes."""
        return next((kind for kind in self if kind.resource == (group, plural)), None)

    def resources(self) -> list[Kind]:
        """One kind for every resource that holds objects."""
        found: dict[tuple[str, str], Kind] = {}
        for kind in self:
            if "list" in kind.verbs:
                found.setdefault(kind.resource, kind)
        return list(found.values())

    def groups(self) -> dict[str, list[str]]:
        """The versions of each group, in order of preference."""
        found: dict[str, list[str]] = {}
        for kind in self:
            versions = found.setdefault(kind.group, [])
            if kind.version not in versions:
                versions.append(kind.version)
        return found

    def replace_custom(self, group: str, plural: str, kinds: list[Kind]) -> None:
        """Serve these versions of a custom resource, and no others."""
        for path in [path for path, kind in self._by_path.items() if kind.resource == (group, plural) and kind.custom]:
            del self._by_path[path]
        for kind in kinds:
            self._by_path[kind.group, kind.version, kind.plural] = kind
        self._versions = {(kind.group, kind.version) for kind in self}


def _kinds(group: str, version: str, *kinds: Kind) -> tuple[Kind, ...]:
    return tuple(replace(kind, group=group, version=version) for kind in kinds)


def _kind(
    kind: str,
    plural: str,
    *short_names: str,
    cluster: bool = False,
    status: bool = False,
    scale: bool = False,
    of_all: bool = False,
    generations: bool = False,
    create_on_update: bool = False,
    unconditional: bool = True,
    verbs: tuple[str, ...] = VERBS,
) -> Kind:
    return Kind(
        group="",
        version="",
        kind=kind,
        plural=plural,
        short_names=short_names,
        namespaced=not cluster,
        status=status,
        scale=scale,
        categories=("all",) if of_all else (),
        verbs=verbs,
        counts_generations=generations,
        create_on_update=create_on_update,
        unconditional_update=unconditional,
        singular=kind.lower(),
    )


NAMESPACES = ("", "namespaces")
PODS = ("", "pods")
EVENTS = ("", "events")
NODES = ("", "nodes")
SERVICE_ACCOUNTS = ("", "serviceaccounts")
CONFIG_MAPS = ("", "configmaps")
RESOURCE_QUOTAS = ("", "resourcequotas")
LIMIT_RANGES = ("", "limitranges")
DEPLOYMENTS = ("apps", "deployments")
REPLICA_SETS = ("apps", "replicasets")
STATEFUL_SETS = ("apps", "statefulsets")
DAEMON_SETS = ("apps", "daemonsets")
JOBS = ("batch", "jobs")
DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")

BUILT_IN = (
    *_kinds(
        "",
        "v1",
        _kind("Binding", "bindings", verbs=_CREATE_ONLY),
        _kind("ConfigMap", "configmaps", "cm"),
        _kind("Endpoints", "endpoints", "ep", create_on_update=True),
        _kind("Event", "events", "ev", create_on_update=True),
        _kind("LimitRange", "limitranges", "limits", create_on_update=True),
        _kind("Namespace", "namespaces", "ns", cluster=True, status=True, verbs=_NAMESPACE_VERBS),
        _kind("Node", "nodes", "no", cluster=True, status=True),
        _kind("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", status=True),
        _kind("PersistentVolume", "persistentvolumes", "pv", cluster=True, status=True),
        _kind("Pod", "pods", "po", status=True, of_all=True, generations=True),
        _kind("PodTemplate", "podtemplates", generations=True),
        _kind(
            "ReplicationController",
            "replicationcontrollers",
            "rc",
            status=True,
            scale=True,
            of_all=True,
            generations=True,
        ),
        _kind("ResourceQuota", "resourcequotas", "quota", status=True),
        _kind("Secret", "secrets"),
        _kind("ServiceAccount", "serviceaccounts", "sa"),
        _kind("Service", "services", "svc", status=True, of_all=True, create_on_update=True),
    ),
    *_kinds(
        "apiextensions.k8s.io",
        "v1",
        _kind(
            "CustomResourceDefinition",
            "customresourcedefinitions",
            "crd",
            "crds",
            cluster=True,
            status=True,
            generations=True,
            unconditional=False,
        ),
    ),
    *_kinds(
        "admissionregistration.k8s.io",
        "v1",
        _kind(
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
            cluster=True,
            generations=True,
            unconditional=False,
        ),
        _kind(
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
            cluster=True,
            generations=True,
            unconditional=False,
        ),
    ),
    *_kinds(
        "apps",
        "v1",
        _kind("ControllerRevision", "controllerrevisions"),
        _kind("DaemonSet", "daemonsets", "ds", status=True, of_all=True, generations=True),
        _kind("Deployment", "deployments", "deploy", status=True, scale=True, of_all=True, generations=True),
        _kind("ReplicaSet", "replicasets", "rs", status=True, scale=True, of_all=True, generations=True),
        _kind("StatefulSet", "statefulsets", "sts", status=True, scale=True, of_all=True, generations=True),
    ),
    *_kinds(
        "authentication.k8s.io",
        "v1",
        _kind("SelfSubjectReview", "selfsubjectreviews", cluster=True, verbs=_CREATE_ONLY),
        _kind("TokenReview", "tokenreviews", cluster=True, verbs=_CREATE_ONLY),
    ),
    *_kinds(
        "authorization.k8s.io",
        "v1",
        _kind("LocalSubjectAccessReview", "localsubjectaccessreviews", verbs=_CREATE_ONLY),
        _kind("SelfSubjectAccessReview", "selfsubjectaccessreviews", cluster=True, verbs=_CREATE_ONLY),
        _kind("SelfSubjectRulesReview", "selfsubjectrulesreviews", cluster=True, verbs=_CREATE_ONLY),
        _kind("SubjectAccessReview", "subjectaccessreviews", cluster=True, verbs=_CREATE_ONLY),
    ),
    *_kinds(
        "autoscaling",
        "v2",
        _kind("HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", status=True, of_all=True),
    ),
    *_kinds(
        "batch",
        "v1",
        _kind("CronJob", "cronjobs", "cj", status=True, of_all=True, generations=True),
        _kind("Job", "jobs", status=True, of_all=True, generations=True),
    ),
    *_kinds("coordination.k8s.io", "v1", _kind("Lease", "leases", create_on_update=True, unconditional=False)),
    *_kinds("discovery.k8s.io", "v1", _kind("EndpointSlice", "endpointslices", generations=True)),
    *_kinds("events.k8s.io", "v1", _kind("Event", "events", "ev", create_on_update=True)),
    *_kinds(
        "networking.k8s.io",
        "v1",
        _kind("IngressClass", "ingressclasses", cluster=True, generations=True),
        _kind("Ingress", "ingresses", "ing", status=True, generations=True),
        _kind("NetworkPolicy", "networkpolicies", "netpol", generations=True),
    ),
    *_kinds(
        "node.k8s.io",
        "v1",
        _kind("RuntimeClass", "runtimeclasses", cluster=True, create_on_update=True, unconditional=False),
    ),
    *_kinds(
        "policy",
        "v1",
        _kind("PodDisruptionBudget", "poddisruptionbudgets", "pdb", status=True, generations=True, unconditional=False),
    ),
    *_kinds(
        "rbac.authorization.k8s.io",
        "v1",
        _kind("ClusterRoleBinding", "clusterrolebindings", cluster=True, create_on_update=True),
        _kind("ClusterRole", "clusterroles", cluster=True, create_on_update=True),
        _kind("RoleBinding", "rolebindings", create_on_update=True),
        _kind("Role", "roles", create_on_update=True),
    ),
    *_kinds("scheduling.k8s.io", "v1", _kind("PriorityClass", "priorityclasses", "pc", cluster=True, generations=True)),
    *_kinds(
        "storage.k8s.io",
        "v1",
        _kind("CSIDriver", "csidrivers", cluster=True, unconditional=False),
        _kind("CSINode", "csinodes", cluster=True, unconditional=False),
        _kind("StorageClass", "storageclasses", "sc", cluster=True),
        _kind("VolumeAttachment", "volumeattachments", cluster=True, status=True, unconditional=False),
    ),
)
