"""Binds pods to the node, and brings each to the state that it asks for."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.controllers.events import record
from agentd.embedded.kube.controllers.owned import with_condition
from agentd.embedded.kube.kinds import NODES, PODS
from agentd.embedded.kube.kubelet.behaviour import UNSCHEDULABLE, Wish, wish_of
from agentd.embedded.kube.kubelet.reports import NODE_ADDRESS, State, differs, running, status, stopped, wished
from agentd.embedded.kube.objects import Object, child, dig, is_terminating, name_of, namespace_of, uid_of
from agentd.embedded.kube.store import Change, ChangeType
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes import DeleteOptions

_ENDED = ("Succeeded", "Failed")
_ROOM = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "1000"}
_NO_NODE = "0/1 nodes are available"


@dataclass(slots=True)
class Kubelet:
    """Remembers since when it knows a pod: one takes a while to start."""

    _known_since: dict[str, float] = field(default_factory=dict)

    def controller(self) -> Controller:
        """Its loop."""
        return Controller("kubelet", self._keys, self._reconcile, manager="kubelet")

    def register(self, hands: Hands) -> None:
        """The node, ready."""
        name, now = hands.world.settings.node, hands.world.now()
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        node = hands.create(NODES, "", {"metadata": {"name": name, "labels": labels}})
        times = {"lastHeartbeatTime": now, "lastTransitionTime": now}
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
        }
        told = {
            "capacity": dict(_ROOM),
            "allocatable": dict(_ROOM),
            "addresses": [{"type": "InternalIP", "address": NODE_ADDRESS}, {"type": "Hostname", "address": name}],
            "conditions": [{**ready, **times}],
            "nodeInfo": {"kubeletVersion": "v1.36.0", "operatingSystem": "linux", "architecture": "amd64"},
        }
        hands.set_status(NODES, node, told)

    def _keys(self, _world: World, change: Change) -> Iterable[Key]:
        if change.resource != PODS:
            return ()
        if change.type is ChangeType.DELETED:
            self._known_since.pop(uid_of(change.item), None)
            return ()
        return ((namespace_of(change.item), name_of(change.item)),)

    def _reconcile(self, hands: Hands, key: Key) -> float | None:
        pod = hands.get(PODS, *key)
        if pod is None:
            return None
        if is_terminating(pod):
            self._stop(hands, pod)
            return None
        if dig(pod, "status", "phase") in _ENDED:
            return None
        wish = wish_of(pod)
        if not dig(pod, "spec", "nodeName"):
            self._schedule(hands, pod, wish)
            return None
        if dig(pod, "spec", "nodeName") != hands.world.settings.node:
            return None
        return self._run(hands, pod, wish)

    def _schedule(self, hands: Hands, pod: Object, wish: Wish) -> None:
        if dig(pod, "spec", "schedulingGates"):
            return
        if wish.is_unschedulable:
            _leave_pending(hands, pod, wish.message or _NO_NODE)
            return
        bind(hands.world, pod, hands.world.settings.node)

    def _run(self, hands: Hands, pod: Object, wish: Wish) -> float | None:
        """The next state, or how long until it is due."""
        now = hands.world.runtime.monotonic()
        since = self._known_since.setdefault(uid_of(pod), now)
        start = since + hands.world.settings.pod_start_s
        if now < start:
            return start - now
        time = hands.world.now()
        if wish.ends and now < start + wish.delay_s:
            _report(hands, pod, running(time))
            return start + wish.delay_s - now
        state = wished(pod, wish, time)
        _report(hands, pod, state)
        told = state.container.get("waiting")
        if told and (wish.fails_to_start or state.before):
            reason = "BackOff" if "BackOff" in told["reason"] else "Failed"
            record(hands, pod, reason, told.get("message") or told["reason"], component="kubelet", warning=True)
        return None

    def _stop(self, hands: Hands, pod: Object) -> None:
        """A pod that is deleted ends at once, whatever grace it is given."""
        if dig(pod, "status", "phase") not in _ENDED and dig(pod, "spec", "nodeName"):
            _report(hands, pod, stopped(hands.world.now()))
        elif pod["metadata"].get("deletionGracePeriodSeconds"):
            hands.delete(PODS, pod, DeleteOptions(uid=uid_of(pod), grace_period_s=0))


def bind(world: World, pod: Object, node: str) -> Object:
    """Give the pod its node, as the binding subresource does: no update of a pod may."""
    told = {"type": "PodScheduled", "status": "True"}
    conditions = with_condition(world, child(pod, "status", "conditions") or [], told)
    bound = {
        **pod,
        "metadata": dict(pod["metadata"]),
        "spec": {**pod["spec"], "nodeName": node},
        "status": {**pod["status"], "conditions": conditions},
    }
    return world.store.put(PODS, bound)


def _leave_pending(hands: Hands, pod: Object, message: str) -> None:
    told = {"type": "PodScheduled", "status": "False", "reason": UNSCHEDULABLE, "message": message}
    conditions = with_condition(hands.world, child(pod, "status", "conditions") or [], told)
    if conditions != child(pod, "status", "conditions"):
        hands.set_status(PODS, pod, {**pod["status"], "conditions": conditions})
        record(hands, pod, "FailedScheduling", message, component="default-scheduler", warning=True)


def _report(hands: Hands, pod: Object, state: State) -> None:
    told = status(pod, state, hands.world.now())
    if differs(child(pod, "status"), told):
        hands.set_status(PODS, pod, told)
