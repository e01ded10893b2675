"""Defaults of namespaces, limits, roles, priorities and autoscalers."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from agentd.embedded.kube.objects import Object, clone, dig, metadata

RBAC = "rbac.authorization.k8s.io"
_NAME_LABEL = "kubernetes.io/metadata.name"
_PERIOD_S = 15
_UP: Object = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": _PERIOD_S},
        {"type": "Percent", "value": 100, "periodSeconds": _PERIOD_S},
    ],
}
_DOWN: Object = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": _PERIOD_S}]}
_METRIC: Object = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}


def name_label(item: Object) -> None:
    """Every namespace can be selected by its name."""
    meta = metadata(item)
    if meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), _NAME_LABEL: meta["name"]}


def _limit(limit: Object) -> None:
    if limit.get("type") != "Container":
        return
    default = {**(limit.get("max") or {}), **(limit.get("default") or {})}
    request = {**(limit.get("min") or {}), **default, **(limit.get("defaultRequest") or {})}
    for name, value in (("default", default), ("defaultRequest", request)):
        if value:
            limit[name] = value


def _binding(item: Object) -> None:
    if "roleRef" in item:
        item["roleRef"].setdefault("apiGroup", RBAC)


def _subject(subject: Object) -> None:
    if subject.get("kind") in ("User", "Group"):
        subject.setdefault("apiGroup", RBAC)


def _priority_class(item: Object) -> None:
    item.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _autoscaler(item: Object) -> None:
    spec = item.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        spec["metrics"] = [clone(_METRIC)]
    behavior = dig(spec, "behavior")
    if behavior is not None:
        behavior["scaleUp"] = {**clone(_UP), **(behavior.get("scaleUp") or {})}
        behavior["scaleDown"] = {**clone(_DOWN), **(behavior.get("scaleDown") or {})}


def _definition(item: Object) -> None:
    spec = item.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})


POLICIES: Mapping[str, Callable[[Object], None]] = MappingProxyType(
    {
        "core.v1.Namespace": name_label,
        "core.v1.LimitRangeItem": _limit,
        "rbac.v1.RoleBinding": _binding,
        "rbac.v1.ClusterRoleBinding": _binding,
        "rbac.v1.Subject": _subject,
        "scheduling.v1.PriorityClass": _priority_class,
        "autoscaling.v2.HorizontalPodAutoscaler": _autoscaler,
        "apiextensions.v1.CustomResourceDefinition": _definition,
    }
)
