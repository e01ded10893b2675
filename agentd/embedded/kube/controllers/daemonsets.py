"""Daemon sets: a pod on every node, of which there is one."""

from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.controllers.owned import (
    create_pod,
    from_template,
    is_active,
    is_ready,
    keys_of,
    owned_by,
    template_hash,
)
from agentd.embedded.kube.kinds import DAEMON_SETS, NODES, PODS
from agentd.embedded.kube.objects import Object, child, is_terminating, labels_of, name_of

_HASH = "controller-revision-hash"


def _reconcile(hands: Hands, key: Key) -> None:
    owner = hands.get(DAEMON_SETS, *key)
    if owner is None:
        return
    revision = template_hash(owner["spec"]["template"])
    nodes = len(list(hands.world.store.all(NODES)))
    pods = [pod for pod in owned_by(hands.world, owner, PODS) if is_active(pod)]
    if not is_terminating(owner):
        for pod in pods:
            if labels_of(pod).get(_HASH) != revision:
                hands.delete(PODS, pod)
        for _ in range(nodes - len(pods)):
            template = child(owner, "spec", "template")
            labels = {**child(template, "metadata", "labels"), _HASH: revision}
            create_pod(hands, owner, from_template(owner, template, generateName=f"{name_of(owner)}-", labels=labels))
        pods = [pod for pod in owned_by(hands.world, owner, PODS) if is_active(pod)]
    hands.set_status(DAEMON_SETS, owner, _status(owner, pods, nodes, revision))


def _status(owner: Object, pods: list[Object], nodes: int, revision: str) -> Object:
    ready = sum(1 for pod in pods if is_ready(pod))
    counts = {
        "updatedNumberScheduled": sum(1 for pod in pods if labels_of(pod).get(_HASH) == revision),
        "numberAvailable": ready,
        "numberUnavailable": nodes - ready,
    }
    return {
        "currentNumberScheduled": len(pods),
        "desiredNumberScheduled": nodes,
        "numberMisscheduled": 0,
        "numberReady": ready,
        "observedGeneration": owner["metadata"]["generation"],
        **{name: number for name, number in counts.items() if number},
    }


DAEMON_SET_CONTROLLER = Controller("daemonset", keys_of(DAEMON_SETS, "DaemonSet", PODS), _reconcile)
