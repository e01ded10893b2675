"""What is the matter with workloads and pods, as their statuses say it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from agentd.platform import Manifest

Part = Mapping[str, Any]  # a part of a status, in the API's own shape

# A container that is on its way, as every container is at first.
_ON_ITS_WAY = ("ContainerCreating", "PodInitializing")


def of_workload(workload: Manifest) -> str | None:
    """None when the Deployment or StatefulSet has the pods that it should have now, all at work, and no others.

    Source: what `kubectl rollout status` waits for.
    """
    spec, status = workload["spec"], workload.get("status") or {}
    wanted = spec.get("replicas", 1)
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return "its controller has not seen it yet"
    refused = [one for one in status.get("conditions") or () if _is_bad(one)]
    if refused:
        return "; ".join(said(condition) for condition in refused)
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = status.get("availableReplicas", status.get("readyReplicas", 0))
    if updated < wanted or total > updated or available < updated:
        return f"{min(available, updated)} of {wanted} pods are at work" + (
            f", {total - updated} of an older kind still there" if total > updated else ""
        )
    return None


def of_pod(pod: Manifest) -> str | None:
    """Why a pod is not at work, in the words of its status; None when nothing is the matter."""
    status = pod.get("status") or {}
    told = [said(one) for one in status.get("conditions") or () if one["type"] == "PodScheduled" and _is_false(one)]
    told += [
        f"container {container['name']} {trouble}"
        for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
        for trouble in _of_container(container)
    ]
    return "; ".join(told) or None


def said(told: Part) -> str:
    """Reason and message, as far as they are there."""
    parts = [told.get("reason") or "", " ".join((told.get("message") or "").split())]
    return ": ".join(part for part in parts if part) or "no reason is given"


def _of_container(container: Part) -> Iterator[str]:
    state, before = container.get("state") or {}, container.get("lastState") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting and waiting.get("reason") not in _ON_ITS_WAY:
        yield f"waits: {said(waiting)}"
    for one in (ended, before.get("terminated")):
        if one and one.get("exitCode"):
            yield f"ended with exit code {one['exitCode']}: {said(one)}"


def _is_bad(condition: Part) -> bool:
    """A pod that is refused, or a rollout that takes too long."""
    if condition["type"] == "ReplicaFailure":
        return bool(condition["status"] == "True")
    return condition["type"] == "Progressing" and _is_false(condition)


def _is_false(condition: Part) -> bool:
    return bool(condition["status"] == "False")
