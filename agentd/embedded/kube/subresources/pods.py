"""Subresources of pods: binding and eviction."""

from math import ceil

from agentd.embedded.kube.controllers.owned import is_active, is_ready
from agentd.embedded.kube.kinds import PODS
from agentd.embedded.kube.kubelet.controller import bind
from agentd.embedded.kube.objects import Json, Object, ObjectView, child, dig, labels_of, name_of
from agentd.embedded.kube.selectors import matches
from agentd.embedded.kube.status import ApiError, Cause, Details, bad_request, conflict
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes import Call, DeleteOptions, delete

_BUDGETS = ("policy", "poddisruptionbudgets")
_TOO_MANY_REQUESTS = 429
_SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def bind_pod(world: World, call: Call, binding: Json) -> Object:
    """Give a pod its node. ApiError."""
    pod = _pod(world, call)
    node = dig(binding or {}, "target", "name")
    if not node:
        raise bad_request("target.name: Required value")
    if dig(pod, "spec", "nodeName"):
        why = f'pod {call.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
        raise conflict("", "pods/binding", call.name, why)
    if not call.dry_run:
        bind(world, pod, node)
    return dict(_SUCCESS)


def evict(world: World, call: Call, eviction: Json) -> Object:
    """Delete a pod, if its disruption budget allows. ApiError 429 if not."""
    pod = _pod(world, call)
    for budget in world.store.all(_BUDGETS, call.namespace):
        selector = dig(budget, "spec", "selector")
        if selector is not None and matches(selector, labels_of(pod)) and is_active(pod) and is_ready(pod):
            _check_budget(world, budget, selector)
    delete(world, call, DeleteOptions.read(child(eviction or {}, "deleteOptions")))
    return dict(_SUCCESS)


def _check_budget(world: World, budget: Object, selector: ObjectView) -> None:
    pods = [pod for pod in world.store.all(PODS, budget["metadata"]["namespace"]) if matches(selector, labels_of(pod))]
    healthy = sum(1 for pod in pods if is_active(pod) and is_ready(pod))
    spec = budget["spec"]
    if "minAvailable" in spec:
        needed = _number(spec["minAvailable"], len(pods))
    else:
        needed = len(pods) - _number(spec.get("maxUnavailable", 0), len(pods))
    if healthy - 1 >= needed:
        return
    told = f"The disruption budget {name_of(budget)} needs {needed} healthy pods and has {healthy} currently"
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    details = Details(causes=[Cause("DisruptionBudget", told, "")])
    raise ApiError(_TOO_MANY_REQUESTS, "TooManyRequests", message, details)


def _number(value: Json, of: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return ceil(of * int(value[:-1]) / 100)
    return int(value)


def _pod(world: World, call: Call) -> Object:
    pod = world.store.get(PODS, call.namespace, call.name)
    if pod is None:
        raise call.not_found()
    return pod
