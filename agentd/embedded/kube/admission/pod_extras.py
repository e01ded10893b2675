"""What every pod gets beside what it asks for: tolerations of short node outages, and a priority."""

from agentd.embedded.kube.admission.request import Request, refused
from agentd.embedded.kube.objects import Object, name_of
from agentd.embedded.kube.world import World

_CLASSES = ("scheduling.k8s.io", "priorityclasses")
_OUTAGES = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_OUTAGE_S = 300
_LOWER = "PreemptLowerPriority"
_SYSTEM = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}


def add_tolerations(pod: Object) -> None:
    """Stay for five minutes on a node that is not ready."""
    tolerations = pod["spec"].setdefault("tolerations", [])
    if any(one.get("operator") == "Exists" and not one.get("key") for one in tolerations):
        return
    known = {one.get("key") for one in tolerations if one.get("effect") in (None, "NoExecute")}
    tolerations += [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _OUTAGE_S}
        for key in _OUTAGES
        if key not in known
    ]


def add_priority(world: World, request: Request, pod: Object) -> None:
    """The number behind the pod's class. ApiError 403 when there is no such class."""
    spec = pod["spec"]
    name = spec.get("priorityClassName")
    found = world.store.get(_CLASSES, "", name) if name else _default_class(world)
    if name and found is None and name not in _SYSTEM:
        raise refused(request, name_of(pod), f"no PriorityClass with name {name} was found")
    if found is not None:
        spec["priorityClassName"] = name_of(found)
    spec["priority"] = found["value"] if found else _SYSTEM.get(name or "", 0)
    spec["preemptionPolicy"] = (found or {}).get("preemptionPolicy") or _LOWER


def _default_class(world: World) -> Object | None:
    return next((item for item in world.store.all(_CLASSES) if item.get("globalDefault")), None)
