"""Objects as an API server shows them while something is in their way."""

from typing import Any

from agentd.platform import Manifest

Object = dict[str, Any]


def pod(name: str = "dag-processor-x", *, owner: tuple[str, str] | None = None, **status: Any) -> Manifest:
    """A pod with this status; `owner` is the kind and uid of what it belongs to."""
    references = [{"kind": owner[0], "uid": owner[1]}] if owner else []
    metadata = {"name": name, "namespace": "dev", "uid": name, "ownerReferences": references}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": "Pending", **status}}


def waiting(reason: str, message: str = "", **container: Any) -> Object:
    """The status of a container that has not begun."""
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return {
        "containerStatuses": [{"name": "main", "image": "registry/x:1", "restartCount": 0, **container, "state": state}]
    }


def ended(code: int, reason: str = "Error", message: str = "") -> Object:
    """How a container ended."""
    return {"terminated": {"exitCode": code, "reason": reason, **({"message": message} if message else {})}}


def looping(restarts: int, before: Object) -> Object:
    """The status of a container that is started again and again."""
    return waiting(
        "CrashLoopBackOff", "back-off 5m0s restarting failed container", restartCount=restarts, lastState=before
    )


def unschedulable(message: str) -> Object:
    """The status of a pod without a node."""
    return {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]}


def event(about: Manifest, reason: str, message: str, at: str = "2026-01-01T00:00:00Z") -> Manifest:
    """What was told of an object."""
    involved = {"kind": about["kind"], "uid": about["metadata"]["uid"]}
    return {"kind": "Event", "involvedObject": involved, "reason": reason, "message": message, "lastTimestamp": at}


def workload(kind: str, *, replicas: int = 1, **status: Any) -> Manifest:
    """A Deployment, StatefulSet or Job."""
    spec = {} if kind == "Job" else {"replicas": replicas}
    group = "batch/v1" if kind == "Job" else "apps/v1"
    metadata = {"name": "airflow-x", "namespace": "dev", "uid": f"uid-{kind}"}
    return {"apiVersion": group, "kind": kind, "metadata": metadata, "spec": spec, "status": status}


def claim(phase: str = "Pending") -> Manifest:
    """A claim on a volume."""
    metadata = {"name": "data", "namespace": "dev", "uid": "claim"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "status": {"phase": phase}}
