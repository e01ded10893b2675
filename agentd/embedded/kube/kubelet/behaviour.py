"""How a pod is to behave, as its annotations say. Pure.

| Annotation, after `kubelet.conveyor.internal/` | Says | When it is not there |
|---|---|---|
| `behaviour` | `ready`: runs and becomes ready. `fail`, `complete`: every container ends. `never`: stays pending | `complete` for a job's pod, else `ready` |
| `reason` | of `fail`: why a container ended, or why it could not start (`ImagePullBackOff` and its like). Of `never`: what it waits for | `Error`; `ContainerCreating` |
| `message` | the text beside the reason; of `complete`, the termination message | none |
| `exit-code` | of `fail` | 137 for `OOMKilled`, else 1 |
| `log` | what every container of the pod has written | nothing |
| `delay` | of a pod that ends: how many seconds it runs before | 0 |

`never` with the reason `Unschedulable` leaves the pod without a node. Annotations are looked at again whenever the pod
changes: one that is ready can be made to fail, and one that waits to run.
"""  # noqa: E501 - a table: one annotation a line

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agentd.embedded.kube.objects import ObjectView, annotations_of, child

PREFIX = "kubelet.conveyor.internal/"
UNSCHEDULABLE = "Unschedulable"

_KILLED = 137
_FAILED = 1
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


class Behaviour(StrEnum):
    """What becomes of a pod's containers."""

    READY = "ready"
    FAIL = "fail"
    COMPLETE = "complete"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a pod's annotations ask for."""

    behaviour: Behaviour | None
    """None when the word is none of those."""
    said: str
    reason: str
    message: str
    exit_code: int
    delay_s: float

    @property
    def is_unschedulable(self) -> bool:
        """Whether no node takes the pod."""
        return self.behaviour is Behaviour.NEVER and self.reason == UNSCHEDULABLE

    @property
    def fails_to_start(self) -> bool:
        """Whether its containers never come to run."""
        return self.behaviour is Behaviour.FAIL and self.reason in _BEFORE_START

    @property
    def ends(self) -> bool:
        """Whether its containers run and end."""
        return self.behaviour in (Behaviour.FAIL, Behaviour.COMPLETE) and not self.fails_to_start


def wish_of(pod: ObjectView) -> Wish:
    """What the pod asks for."""
    said = _told(pod, "behaviour") or (Behaviour.COMPLETE if _is_of_a_job(pod) else Behaviour.READY)
    behaviour = Behaviour(said) if said in tuple(Behaviour) else None
    reason = _told(pod, "reason")
    default = _KILLED if reason == "OOMKilled" else _FAILED
    return Wish(
        behaviour=behaviour,
        said=said,
        reason=reason,
        message=_told(pod, "message"),
        exit_code=int(_told(pod, "exit-code") or default),
        delay_s=float(_told(pod, "delay") or 0),
    )


def log_of(pod: ObjectView) -> str:
    """What the pod's containers have written."""
    return _told(pod, "log")


def _told(pod: ObjectView, name: str) -> str:
    annotations: Mapping[str, str] = annotations_of(pod)
    return annotations.get(PREFIX + name, "")


def _is_of_a_job(pod: ObjectView) -> bool:
    return any(owner["kind"] == "Job" for owner in child(pod, "metadata", "ownerReferences") or ())
