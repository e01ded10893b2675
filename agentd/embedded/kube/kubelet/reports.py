"""What a kubelet reports of a pod in each state. Pure."""

import hashlib
from dataclasses import dataclass

from agentd.embedded.kube.kubelet.behaviour import PREFIX, Behaviour, Wish
from agentd.embedded.kube.objects import Object, ObjectView, child, dig, uid_of

NODE_ADDRESS = "127.0.0.1"
_ENDED = ("Succeeded", "Failed")
_TERMINATED = 143  # 128 + SIGTERM: what a program that does not handle the signal ends with


@dataclass(frozen=True, slots=True)
class State:
    """How all containers of a pod are."""

    phase: str
    container: Object
    before: Object | None = None
    """The state before this one, when the container restarts."""

    @property
    def is_running(self) -> bool:
        """Whether the containers run."""
        return "running" in self.container


def running(now: str) -> State:
    """All containers run."""
    return State("Running", {"running": {"startedAt": now}})


def stopped(now: str) -> State:
    """All containers were told to end, and did."""
    return State("Failed", _terminated("Error", _TERMINATED, "", now))


def wished(pod: ObjectView, wish: Wish, now: str) -> State:
    """The state that the pod's annotations ask for."""
    match wish.behaviour:
        case Behaviour.READY:
            return running(now)
        case Behaviour.NEVER:
            return State("Pending", _waiting(wish.reason or "ContainerCreating", wish.message))
        case Behaviour.FAIL if wish.fails_to_start:
            return State("Pending", _waiting(wish.reason, wish.message))
        case Behaviour.FAIL:
            ended = _terminated(wish.reason or "Error", wish.exit_code, wish.message, now)
            return _after(pod, "Failed", ended)
        case Behaviour.COMPLETE:
            return _after(pod, "Succeeded", _terminated("Completed", 0, wish.message, now))
        case None:
            return State("Pending", _waiting("UnknownBehaviour", f"{PREFIX}behaviour: {wish.said}"))


def status(pod: ObjectView, state: State, now: str) -> Object:
    """The whole status of a pod whose containers are in this state."""
    spec, address = child(pod, "spec"), _address(pod)
    before = child(pod, "status")
    kept = {name: before[name] for name in ("qosClass", "observedGeneration") if name in before}
    told = {
        **kept,
        "phase": state.phase,
        "startTime": before.get("startTime", now),
        "hostIP": NODE_ADDRESS,
        "hostIPs": [{"ip": NODE_ADDRESS}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": _conditions(pod, state, now),
        "containerStatuses": [_container(pod, one, state) for one in spec.get("containers") or ()],
    }
    starting = [_container(pod, one, _starting(one, state, now)) for one in spec.get("initContainers") or ()]
    return {**told, "initContainerStatuses": starting} if starting else told


def differs(one: ObjectView, other: ObjectView) -> bool:
    """Whether two reports say different things, but for when they were made."""
    return _essence(one) != _essence(other)


def _after(pod: ObjectView, phase: str, ended: Object) -> State:
    """A pod that always restarts never ends: its containers wait for another try."""
    if dig(pod, "spec", "restartPolicy") != "Always":
        return State(phase, ended)
    return State("Running", _waiting("CrashLoopBackOff", "back-off 10s restarting failed container"), before=ended)


def _waiting(reason: str, message: str) -> Object:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def _terminated(reason: str, exit_code: int, message: str, now: str) -> Object:
    told = {"reason": reason, "exitCode": exit_code, "startedAt": now, "finishedAt": now}
    return {"terminated": {**told, **({"message": message} if message else {})}}


def _conditions(pod: ObjectView, state: State, now: str) -> list[Object]:
    before = {condition["type"]: condition for condition in child(pod, "status", "conditions") or ()}
    why = {}
    if not state.is_running:
        why = {"reason": "PodCompleted" if state.phase == "Succeeded" else "ContainersNotReady"}
    ready = state.is_running and _gates_are_open(pod, before)
    told: tuple[tuple[str, bool, Object], ...] = (
        ("PodScheduled", True, {}),
        ("PodReadyToStartContainers", state.is_running, {}),
        ("Initialized", state.is_running or state.phase != "Pending", {}),
        ("ContainersReady", state.is_running, why),
        ("Ready", ready, why),
    )
    ours = [_condition(name, now, before.get(name), met, said) for name, met, said in told]
    names = {name for name, _, _ in told}
    return [*ours, *(condition for name, condition in before.items() if name not in names)]


def _condition(name: str, now: str, before: ObjectView | None, met: bool, said: Object) -> Object:
    since = before["lastTransitionTime"] if before and before["status"] == str(met) else now
    return {"type": name, "status": str(met), "lastTransitionTime": since, **said}


def _gates_are_open(pod: ObjectView, conditions: dict[str, Object]) -> bool:
    gates = child(pod, "spec", "readinessGates") or ()
    return all(conditions.get(gate["conditionType"], {}).get("status") == "True" for gate in gates)


def _starting(container: ObjectView, state: State, now: str) -> State:
    """Init containers have ended where the others run; a sidecar runs beside them."""
    is_sidecar = container.get("restartPolicy") == "Always"
    if is_sidecar or not (state.is_running or state.before or state.phase in _ENDED):
        return state
    return State(state.phase, _terminated("Completed", 0, "", now))


def _container(pod: ObjectView, container: ObjectView, state: State) -> Object:
    image, known = container["image"], _known(pod, container["name"])
    restarts = known.get("restartCount", 0)
    if state.before and not known.get("lastState"):
        restarts += 1
    has_started = "waiting" not in state.container
    digest = hashlib.sha256(image.encode()).hexdigest()
    told = {
        "name": container["name"],
        "image": image,
        "imageID": image if "@" in image else f"{image}@sha256:{digest}",
        "ready": state.is_running,
        "started": state.is_running,
        "restartCount": restarts,
        "state": _same_since(known.get("state"), state.container),
        "lastState": state.before or known.get("lastState", {}),
    }
    return {**told, "containerID": f"containerd://{_digest(pod, container['name'], restarts)}"} if has_started else told


def _same_since(before: Object | None, now: Object) -> Object:
    """A container that goes on running has run since it was first said."""
    return before if before and "running" in before and "running" in now else now


def _known(pod: ObjectView, name: str) -> Object:
    reported = child(pod, "status")
    for field in ("initContainerStatuses", "containerStatuses"):
        for one in reported.get(field) or ():
            if one["name"] == name:
                found: Object = one
                return found
    return {}


def _essence(told: ObjectView) -> object:
    ready = {one["type"]: one["status"] for one in told.get("conditions") or ()}.get("Ready")
    return (told.get("phase"), ready, [_container_essence(one) for one in told.get("containerStatuses") or ()])


def _container_essence(container: ObjectView) -> object:
    for kind, told in (container.get("state") or {}).items():
        return container["name"], kind, told.get("reason"), told.get("message"), told.get("exitCode")
    return container["name"]


def _address(pod: ObjectView) -> str:
    given = child(pod, "status").get("podIP")
    return given or "10.{}.{}.{}".format(*bytes.fromhex(_digest(pod, "address"))[:3])


def _digest(pod: ObjectView, *parts: object) -> str:
    return hashlib.sha256(repr((uid_of(pod), *parts)).encode()).hexdigest()
