"""Replica sets: as many pods as asked for."""

from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.controllers.events import record
from agentd.embedded.kube.controllers.owned import (
    create_pod,
    from_template,
    is_active,
    is_ready,
    keys_of,
    owned_by,
    with_condition,
    without_condition,
)
from agentd.embedded.kube.kinds import PODS, REPLICA_SETS
from agentd.embedded.kube.objects import Object, dig, is_terminating, labels_of, name_of
from agentd.embedded.kube.status import ApiError

_AGAIN_S = 1.0


def _reconcile(hands: Hands, key: Key) -> float | None:
    owner = hands.get(REPLICA_SETS, *key)
    if owner is None:
        return None
    pods = list(owned_by(hands.world, owner, PODS))
    failure = None
    if not is_terminating(owner):
        failure = _scale(hands, owner, [pod for pod in pods if is_active(pod)])
        pods = list(owned_by(hands.world, owner, PODS))
    hands.set_status(REPLICA_SETS, owner, _status(hands, owner, pods, failure))
    return _AGAIN_S if failure else None


def _scale(hands: Hands, owner: Object, active: list[Object]) -> str | None:
    """Bring the number of pods to what is wanted; returns why it could not."""
    wanted = owner["spec"].get("replicas", 1)
    for pod in sorted(active, key=_last_to_go)[wanted:]:
        hands.delete(PODS, pod)
    for _ in range(wanted - len(active)):
        pod = from_template(owner, owner["spec"]["template"], generateName=f"{name_of(owner)}-")
        try:
            create_pod(hands, owner, pod)
        except ApiError as error:
            told = f"Error creating: {error.message}"
            record(hands, owner, "FailedCreate", told, component="replicaset-controller", warning=True)
            return error.message
    return None


def _last_to_go(pod: Object) -> tuple[bool, bool, str, str]:
    """Ready and older pods are kept."""
    return (not is_ready(pod), not dig(pod, "spec", "nodeName"), pod["metadata"]["creationTimestamp"], name_of(pod))


def _status(hands: Hands, owner: Object, pods: list[Object], failure: str | None) -> Object:
    before = owner.get("status") or {}
    active = [pod for pod in pods if is_active(pod)]
    labels = dig(owner, "spec", "template", "metadata", "labels") or {}
    ready = sum(1 for pod in active if is_ready(pod))
    counts = {
        "fullyLabeledReplicas": sum(1 for pod in active if labels.items() <= labels_of(pod).items()),
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    status: Object = {
        "replicas": len(active),
        "observedGeneration": owner["metadata"]["generation"],
        "terminatingReplicas": sum(1 for pod in pods if is_terminating(pod)),
        **{name: number for name, number in counts.items() if number},
    }
    conditions = before.get("conditions") or []
    if failure is None:
        conditions = without_condition(conditions, "ReplicaFailure")
    else:
        told = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": failure}
        conditions = with_condition(hands.world, conditions, told)
    return {**status, "conditions": conditions} if conditions else status


REPLICA_SET_CONTROLLER = Controller("replicaset", keys_of(REPLICA_SETS, "ReplicaSet", PODS), _reconcile)
