"""What a kubelet would report of a pod that behaves as its annotations say.

| Annotation, after `kubelet.conveyor.internal/` | Says | When it is not there |
|---|---|---|
| `behaviour` | `ready`: runs and becomes ready. `fail`, `complete`: every container ends. `never`: stays pending | `complete` for a job's pod, `ready` for any other |
| `reason` | of `fail`: why a container ended, or why it could not start (`ImagePullBackOff` and its like: the pod stays pending). Of `never`: what it waits for; `Unschedulable` leaves the pod without a node | `Error`; `ContainerCreating` |
| `message` | the text beside the reason; of `complete`, what the program left as its termination message | none |
| `exit-code` | of `fail` | 137 for `OOMKilled`, else 1 |

Annotations are looked at again whenever the pod changes: one that is ready can be made to fail, and one that waits to run.
A pod that restarts (`restartPolicy: Always`) never ends: `fail` and `complete` leave its containers in `CrashLoopBackOff`.
`OnFailure` is taken for `Never`: no container restarts in place.
"""  # noqa: E501 - a table: one annotation a line

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

PREFIX = "kubelet.conveyor.internal/"
NODE = "node-1"
NODE_ADDRESS = "127.0.0.1"

_ENDED = ("Succeeded", "Failed")
_UNSCHEDULABLE = "Unschedulable"
_BEFORE_START = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
_TERMINATED = 143  # 128 + SIGTERM: what a program that does not handle the signal ends with


@dataclass(frozen=True, slots=True)
class Bind:
    """The pod is to be bound to the node."""


@dataclass(frozen=True, slots=True)
class Report:
    """The pod's status is to be patched with this."""

    status: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Remove:
    """The pod's containers have ended: it is to be deleted for good."""


Step = Bind | Report | Remove


@dataclass(frozen=True, slots=True)
class _State:
    """How all containers of a pod are."""

    phase: str
    container: dict[str, Any]
    before: dict[str, Any] | None = None
    """The state before this one, if the container restarts."""

    @property
    def running(self) -> bool:
        return "running" in self.container


def next_step(pod: Object, now: str) -> Step | None:
    """What the kubelet does about the pod as it is now, if anything. Doing that changes the pod, and then it is asked again."""
    node = pod["spec"].get("nodeName")
    deleted = "deletionTimestamp" in pod["metadata"]
    if not node:
        return None if deleted else _scheduled(pod, now)
    if node != NODE:
        return None
    phase = pod.get("status", {}).get("phase")
    if deleted:
        return _ended(pod, now, phase)
    if phase in _ENDED:
        return None
    return _unless_reported(pod, _status(pod, _wanted(pod, now), now))


def _scheduled(pod: Object, now: str) -> Step | None:
    if pod["spec"].get("schedulingGates"):
        return None
    if _annotation(pod, "behaviour") != "never" or _annotation(pod, "reason") != _UNSCHEDULABLE:
        return Bind()
    said = {"reason": _UNSCHEDULABLE, "message": _annotation(pod, "message") or "0/1 nodes are available"}
    condition = _condition("PodScheduled", now, met=False, **said)
    return None if _holds(pod, condition) else Report({"conditions": [condition]})


def _ended(pod: Object, now: str, phase: str | None) -> Step | None:
    """Of a pod that is being deleted: its containers end at once, whatever grace they are given."""
    if phase not in _ENDED:
        return Report(_status(pod, _State("Failed", _terminated("Error", _TERMINATED, None, now)), now))
    # Without grace left it is a finalizer that keeps the pod, and not the kubelet.
    return Remove() if pod["metadata"].get("deletionGracePeriodSeconds") else None


def _wanted(pod: Object, now: str) -> _State:
    behaviour = _annotation(pod, "behaviour") or ("complete" if _of_a_job(pod) else "ready")
    reason, message = _annotation(pod, "reason"), _annotation(pod, "message")
    match behaviour:
        case "ready":
            return _State("Running", {"running": {"startedAt": now}})
        case "never":
            return _State("Pending", _waiting(reason or "ContainerCreating", message))
        case "fail" if reason in _BEFORE_START:
            return _State("Pending", _waiting(reason, message))
        case "fail":
            code = int(_annotation(pod, "exit-code") or (137 if reason == "OOMKilled" else 1))
            return _after(pod, "Failed", _terminated(reason or "Error", code, message, now))
        case "complete":
            return _after(pod, "Succeeded", _terminated("Completed", 0, message, now))
        case unknown:
            return _State("Pending", _waiting("UnknownBehaviour", f"{PREFIX}behaviour: {unknown}"))


def _after(pod: Object, phase: str, ended: dict[str, Any]) -> _State:
    if pod["spec"].get("restartPolicy", "Always") != "Always":
        return _State(phase, ended)
    return _State("Running", _waiting("CrashLoopBackOff", "back-off 10s restarting failed container"), before=ended)


def _waiting(reason: str, message: str | None) -> dict[str, Any]:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def _terminated(reason: str, exit_code: int, message: str | None, now: str) -> dict[str, Any]:
    told = {"reason": reason, "exitCode": exit_code, "startedAt": now, "finishedAt": now}
    return {"terminated": told | ({"message": message} if message else {})}


def _status(pod: Object, state: _State, now: str) -> dict[str, Any]:
    spec = pod["spec"]
    ready = state.running and _gates_open(pod)
    initialized = state.running or state.phase != "Pending"
    return {
        "phase": state.phase,
        "startTime": pod.get("status", {}).get("startTime", now),
        "hostIP": NODE_ADDRESS,
        "hostIPs": [{"ip": NODE_ADDRESS}],
        "podIP": _address(pod),
        "podIPs": [{"ip": _address(pod)}],
        "conditions": [
            _condition("Initialized", now, met=initialized),
            _condition("ContainersReady", now, met=state.running, **_not_ready(state)),
            _condition("Ready", now, met=ready, **_not_ready(state)),
        ],
        "initContainerStatuses": [
            _container(pod, container, _init_state(container, state, now))
            for container in spec.get("initContainers", ())
        ],
        "containerStatuses": [_container(pod, container, state) for container in spec["containers"]],
    }


def _init_state(container: Object, state: _State, now: str) -> _State:
    sidecar = container.get("restartPolicy") == "Always"
    if sidecar or not (state.running or state.before or state.phase in _ENDED):
        return state
    return _State(state.phase, _terminated("Completed", 0, None, now))


def _container(pod: Object, container: Object, state: _State) -> dict[str, Any]:
    image = container["image"]
    known = {status["name"]: status for status in _reported_containers(pod)}.get(container["name"], {})
    restarts = known.get("restartCount", 0)
    if state.before and not known.get("lastState"):
        restarts += 1
    started = "waiting" not in state.container
    return {
        "name": container["name"],
        "image": image,
        "imageID": image if "@" in image else f"{image}@sha256:{hashlib.sha256(image.encode()).hexdigest()}",
        "ready": state.running,
        "started": state.running,
        "restartCount": restarts,
        "state": state.container,
        "lastState": state.before or known.get("lastState", {}),
    } | ({"containerID": f"containerd://{_digest(pod, container['name'], restarts)}"} if started else {})


def _not_ready(state: _State) -> dict[str, str]:
    if state.running:
        return {}
    return {"reason": "PodCompleted" if state.phase == "Succeeded" else "ContainersNotReady"}


def _condition(kind: str, now: str, *, met: bool, **said: str) -> dict[str, Any]:
    return {"type": kind, "status": str(met), "lastTransitionTime": now, "reason": None, "message": None} | said


def _gates_open(pod: Object) -> bool:
    met = {condition["type"] for condition in _conditions(pod) if condition["status"] == "True"}
    return all(gate["conditionType"] in met for gate in pod["spec"].get("readinessGates", ()))


def _unless_reported(pod: Object, status: dict[str, Any]) -> Step | None:
    return None if _essence(pod.get("status", {})) == _essence(status) else Report(status)


def _essence(status: Object) -> object:
    """What makes one report differ from another: not when it was made."""
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    return (
        status.get("phase"),
        conditions.get("Ready"),
        [_container_essence(container) for container in status.get("containerStatuses", ())],
    )


def _container_essence(container: Object) -> object:
    state: Object = container.get("state") or {"": {}}
    ((kind, told),) = state.items()
    return container["name"], kind, told.get("reason"), told.get("message"), told.get("exitCode")


def _holds(pod: Object, wanted: Object) -> bool:
    return any(
        all(have.get(key) == wanted[key] for key in ("type", "status", "reason", "message"))
        for have in _conditions(pod)
    )


def _conditions(pod: Object) -> Sequence[Object]:
    conditions: Sequence[Object] = pod.get("status", {}).get("conditions") or ()
    return conditions


def _reported_containers(pod: Object) -> Sequence[Object]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _annotation(pod: Object, name: str) -> str | None:
    annotations: Mapping[str, str] = pod["metadata"].get("annotations") or {}
    return annotations.get(PREFIX + name)


def _of_a_job(pod: Object) -> bool:
    return any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences") or ())


def _address(pod: Object) -> str:
    given: str | None = pod.get("status", {}).get("podIP")
    return given or "10.{}.{}.{}".format(*bytes.fromhex(_digest(pod, "address"))[:3])


def _digest(pod: Object, *parts: object) -> str:
    return hashlib.sha256(repr((pod["metadata"]["uid"], *parts)).encode()).hexdigest()
