"""Rules of kinds that have few: leases, quotas, ingresses, network policies, budgets, events and priorities."""

from collections.abc import Iterator

from agentd.embedded.kube.objects import Object, ObjectView, child, namespace_of
from agentd.embedded.kube.rules.common import check_enum, check_not_negative, check_selector
from agentd.embedded.kube.rules.names import qualified_name_faults
from agentd.embedded.kube.rules.rules import Rules
from agentd.embedded.kube.status import Cause, required, wrong

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_QUOTA_WORDS = frozenset(
    {
        "configmaps",
        "cpu",
        "ephemeral-storage",
        "memory",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
        "services.loadbalancers",
        "services.nodeports",
    }
)
_QUOTA_PREFIXES = ("requests.", "limits.", "count/")
_CLUSTER_NAMESPACES = ("", "default")


def _check_lease(lease: Object) -> Iterator[Cause]:
    seconds = child(lease, "spec").get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        yield wrong("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    yield from check_not_negative(child(lease, "spec"), ("leaseTransitions",), "spec")


def _check_quota(quota: Object) -> Iterator[Cause]:
    for name in child(quota, "spec", "hard"):
        if name in _QUOTA_WORDS or name.startswith(_QUOTA_PREFIXES) or ".storageclass.storage.k8s.io/" in name:
            continue
        path = f"spec.hard[{name}]"
        for fault in qualified_name_faults(name):
            yield wrong(path, name, fault)
        if "/" not in name:
            yield wrong(path, name, "must be a standard resource type or fully qualified")
            yield wrong(path, name, "must be a standard resource for quota")


def _check_ingress(ingress: Object) -> Iterator[Cause]:
    spec = child(ingress, "spec")
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield wrong("spec", None, "either `defaultBackend` or `rules` must be specified")
    for number, rule in enumerate(spec.get("rules") or ()):
        for index, path in enumerate(child(rule, "http", "paths") or ()):
            yield from _check_path(path, f"spec.rules[{number}].http.paths[{index}]")


def _check_path(path: ObjectView, place: str) -> Iterator[Cause]:
    if not path.get("pathType"):
        yield required(f"{place}.pathType", "pathType must be specified")
    else:
        yield from check_enum(path["pathType"], _PATH_TYPES, f"{place}.pathType")
    service = child(path, "backend", "service")
    if service and not service.get("name"):
        yield required(f"{place}.backend.service.name")


def _check_network_policy(policy: Object) -> Iterator[Cause]:
    spec = child(policy, "spec")
    yield from check_selector(child(spec, "podSelector"), "spec.podSelector")
    for index, kind in enumerate(spec.get("policyTypes") or ()):
        yield from check_enum(kind, ("Ingress", "Egress"), f"spec.policyTypes[{index}]")


def _check_budget(budget: Object) -> Iterator[Cause]:
    spec = child(budget, "spec")
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield wrong("spec", spec, "minAvailable and maxUnavailable cannot be both set")


def _check_event(event: Object) -> Iterator[Cause]:
    where = child(event, "involvedObject").get("namespace", "") or child(event, "regarding").get("namespace", "")
    here = namespace_of(event)
    if where != here and not (where == "" and here in _CLUSTER_NAMESPACES):
        yield wrong("involvedObject.namespace", where, "does not match event.namespace")


def _check_autoscaler(item: Object) -> Iterator[Cause]:
    spec = child(item, "spec")
    if (spec.get("maxReplicas") or 0) < 1:
        yield required("spec.maxReplicas", "must be set and greater than 0")
    if (spec.get("maxReplicas") or 0) < (spec.get("minReplicas") or 1):
        yield wrong("spec.maxReplicas", spec.get("maxReplicas") or 0, "must be greater than or equal to `minReplicas`")


LEASE_RULES = Rules(validate=_check_lease)
QUOTA_RULES = Rules(validate=_check_quota)
INGRESS_RULES = Rules(validate=_check_ingress)
NETWORK_POLICY_RULES = Rules(validate=_check_network_policy)
BUDGET_RULES = Rules(validate=_check_budget)
EVENT_RULES = Rules(validate=_check_event)
AUTOSCALER_RULES = Rules(validate=_check_autoscaler)
