"""State of nodes: whether they take pods, what they have, what presses them, whether they are about to go. Pure."""

from collections.abc import Iterator, Mapping

from agentd.platform import Kind, Manifest
from agentd.reconcile.watchers.views import Fact, Json, Seen, Source, View

_NODE = Kind("v1", "Node")
_READY = "Ready"
_SHOWN = ("cpu", "memory", "pods", "ephemeral-storage", "nvidia.com/gpu")

# Sources: well-known labels of Kubernetes, of EKS node groups, of Karpenter, of AKS.
_SPOT = (
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("karpenter.sh/capacity-type", "spot"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
)
# Taints of nodes that are about to go. Sources: the AWS node termination handler, Karpenter, the cluster autoscaler, the
# cloud providers' node life-cycle controller, Kubernetes' graceful and out-of-service shutdown.
_LEAVING = (
    "aws-node-termination-handler/",
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
    "ToBeDeletedByClusterAutoscaler",
    "node.cloudprovider.kubernetes.io/shutdown",
    "node.kubernetes.io/out-of-service",
)


def nodes() -> View:
    """All nodes of the cluster."""
    return View("node", (Source(_NODE),), _read)


def _read(seen: Seen) -> Iterator[Fact]:
    return (Fact(f"node/{node['metadata']['name']}", _node(node)) for node in seen.get(_NODE, ()))


def _node(node: Manifest) -> Mapping[str, Json]:
    spec, status = node.get("spec") or {}, node.get("status") or {}
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    taints = sorted({taint["key"] for taint in spec.get("taints") or ()})
    return {
        "name": node["metadata"]["name"],
        "ready": conditions.get(_READY) == "True",
        "schedulable": not spec.get("unschedulable", False),
        "pressures": sorted(name for name, found in conditions.items() if name != _READY and found != "False"),
        "capacity": _amounts(status.get("capacity") or {}),
        "allocatable": _amounts(status.get("allocatable") or {}),
        "instance_type": labels.get("node.kubernetes.io/instance-type"),
        "zone": labels.get("topology.kubernetes.io/zone"),
        "spot": any(labels.get(key) == value for key, value in _SPOT),
        "leaving": [key for key in taints if key.startswith(_LEAVING)],
    }


def _amounts(found: Mapping[str, str]) -> Mapping[str, str]:
    return {name: found[name] for name in _SHOWN if name in found}
