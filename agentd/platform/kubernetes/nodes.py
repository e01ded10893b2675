"""From the API's Node to the port's. Pure."""

from collections.abc import Mapping
from typing import Any

from agentd.platform.cluster import Manifest, Node

_INSTANCE_TYPE = "node.kubernetes.io/instance-type"
_ZONE = "topology.kubernetes.io/zone"
_ARCHITECTURE = "kubernetes.io/arch"
_READY = "Ready"


def read_node(manifest: Manifest) -> Node:
    """One machine, as its kubelet and the cloud describe it. What has not been said yet is empty."""
    metadata, status = manifest["metadata"], manifest.get("status", {})
    labels: Mapping[str, str] = metadata.get("labels") or {}
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions") or ()}
    info: Mapping[str, Any] = status.get("nodeInfo") or {}
    return Node(
        name=metadata["name"],
        ready=conditions.get(_READY) == "True",
        kubelet_version=info.get("kubeletVersion", ""),
        instance_type=labels.get(_INSTANCE_TYPE),
        zone=labels.get(_ZONE),
        architecture=info.get("architecture") or labels.get(_ARCHITECTURE, ""),
        capacity=status.get("capacity") or {},
        unschedulable=bool(manifest.get("spec", {}).get("unschedulable")),
        conditions=tuple(sorted(name for name, found in conditions.items() if name != _READY and found != "False")),
        labels=labels,
        created_at=metadata.get("creationTimestamp"),
    )
