"""Lists as tables, as command line clients ask for them: a few columns that tell how things are."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from agentd.embedded.kube.kinds import Kind
from agentd.embedded.kube.objects import Json, Object, ObjectView, child, dig, is_terminating, name_of
from agentd.embedded.kube.store import Resource

Cell = Callable[[ObjectView], Json]
Column = tuple[str, Cell]

_NONE = "<none>"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SHORT = 2  # units of which two are told apart


def wants_table(accept: str) -> bool:
    """Whether a client would rather have a table."""
    return "as=Table" in accept.partition(",")[0]


def table(kind: Kind, items: Sequence[ObjectView], metadata: ObjectView, now: float) -> Object:
    """The objects, a row each."""
    columns = (("Name", name_of), *_COLUMNS.get(kind.resource, ()), ("Age", lambda item: _age(item, now)))
    definitions = [
        {"name": name, "type": "string", "format": "name" if name == "Name" else "", "description": name, "priority": 0}
        for name, _ in columns
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(metadata),
        "columnDefinitions": definitions,
        "rows": [_row(item, [cell for _, cell in columns]) for item in items],
    }


def _row(item: ObjectView, cells: Sequence[Cell]) -> Object:
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
    return {"cells": [cell(item) for cell in cells], "object": partial}


def _age(item: ObjectView, now: float) -> str:
    created = dig(item, "metadata", "creationTimestamp")
    return duration(now - datetime.fromisoformat(created).timestamp()) if created else "<unknown>"


def duration(seconds: float) -> str:
    """A time span in the largest unit of which there are several: 90s, 5m, 3h, 2d."""
    for length, letter in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= _SHORT * length:
            return f"{int(seconds // length)}{letter}"
    return f"{max(0, int(seconds))}s"


def _path(*path: str) -> Cell:
    def cell(item: ObjectView) -> Json:
        value = dig(item, *path)
        return _NONE if value in (None, "") else str(value)

    return cell


def _count(*path: str) -> Cell:
    return lambda item: len(child(item, *path))


def _share(part: Sequence[str], whole: Sequence[str]) -> Cell:
    return lambda item: f"{dig(item, *part) or 0}/{dig(item, *whole) or 0}"


def _number(*path: str) -> Cell:
    return lambda item: dig(item, *path) or 0


def _pod_ready(pod: ObjectView) -> str:
    statuses = child(pod, "status").get("containerStatuses") or ()
    ready = sum(1 for status in statuses if status.get("ready"))
    return f"{ready}/{len(child(pod, 'spec').get('containers') or ())}"


def _pod_status(pod: ObjectView) -> str:
    if is_terminating(pod):
        return "Terminating"
    for status in child(pod, "status").get("containerStatuses") or ():
        for state in ("waiting", "terminated"):
            reason = dig(status, "state", state, "reason")
            if reason:
                return str(reason)
    return str(dig(pod, "status", "phase") or "Unknown")


def _restarts(pod: ObjectView) -> int:
    return sum(status.get("restartCount", 0) for status in child(pod, "status").get("containerStatuses") or ())


def _ports(service: ObjectView) -> str:
    told = [f"{port['port']}/{port.get('protocol', 'TCP')}" for port in child(service, "spec").get("ports") or ()]
    return ",".join(told) or _NONE


def _job_status(job: ObjectView) -> str:
    for condition in child(job, "status").get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return str(condition["type"])
    return "Suspended" if dig(job, "spec", "suspend") else "Running"


def _node_status(node: ObjectView) -> str:
    conditions = {one["type"]: one["status"] for one in child(node, "status").get("conditions") or ()}
    return "Ready" if conditions.get("Ready") == "True" else "NotReady"


def _about(event: ObjectView) -> str:
    about = child(event, "involvedObject")
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


_REPLICAS: Sequence[Column] = (
    ("Desired", _number("spec", "replicas")),
    ("Current", _number("status", "replicas")),
    ("Ready", _number("status", "readyReplicas")),
)
_COLUMNS: Mapping[Resource, Sequence[Column]] = MappingProxyType(
    {
        ("", "pods"): (("Ready", _pod_ready), ("Status", _pod_status), ("Restarts", _restarts)),
        ("", "namespaces"): (("Status", _path("status", "phase")),),
        ("", "nodes"): (("Status", _node_status), ("Version", _path("status", "nodeInfo", "kubeletVersion"))),
        ("", "configmaps"): (("Data", _count("data")),),
        ("", "secrets"): (("Type", _path("type")), ("Data", _count("data"))),
        ("", "persistentvolumeclaims"): (
            ("Status", _path("status", "phase")),
            ("Capacity", _path("spec", "resources", "requests", "storage")),
            ("StorageClass", _path("spec", "storageClassName")),
        ),
        ("", "services"): (
            ("Type", _path("spec", "type")),
            ("Cluster-IP", _path("spec", "clusterIP")),
            ("Port(s)", _ports),
        ),
        ("", "events"): (
            ("Type", _path("type")),
            ("Reason", _path("reason")),
            ("Object", _about),
            ("Message", _path("message")),
        ),
        ("apps", "deployments"): (
            ("Ready", _share(("status", "readyReplicas"), ("spec", "replicas"))),
            ("Up-to-date", _number("status", "updatedReplicas")),
            ("Available", _number("status", "availableReplicas")),
        ),
        ("apps", "statefulsets"): (("Ready", _share(("status", "readyReplicas"), ("spec", "replicas"))),),
        ("apps", "replicasets"): _REPLICAS,
        ("batch", "jobs"): (
            ("Status", _job_status),
            ("Completions", _share(("status", "succeeded"), ("spec", "completions"))),
        ),
        ("batch", "cronjobs"): (("Schedule", _path("spec", "schedule")), ("Suspend", _path("spec", "suspend"))),
    }
)
