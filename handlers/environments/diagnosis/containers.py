"""What is in the way of one container."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentd.core import Reason
from agentd.platform import Manifest
from handlers.environments.diagnosis import messages

# So often may a container end before it is taken for one that always will: what comes up out of order waits like that.
_HOPELESS_RESTARTS = 5
_LAST_WORDS = 600

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_UNUSABLE = frozenset({"InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "SignatureValidationFailed"})
_CREATE = frozenset({"CreateContainerConfigError", "CreateContainerError"})
# These say nothing that their cause does not say better.
_BACK_OFF = "CrashLoopBackOff"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, without whose it is."""

    reason: Reason
    message: str
    passing: bool


def findings(pod: Manifest, events: Sequence[Manifest]) -> Iterator[Finding]:
    """What is in the way of each of a pod's containers, those that begin first."""
    status = pod.get("status") or {}
    told = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in told:
        found = _finding(container, events)
        if found is not None:
            yield found


def _finding(container: Manifest, events: Sequence[Manifest]) -> Finding | None:
    state = container.get("state") or {}
    ended = state.get("terminated") or {}
    if ended.get("exitCode"):
        return _ended(container, ended)
    waiting = state.get("waiting") or {}
    why = waiting.get("reason", "")
    if why == _BACK_OFF:
        return _ended(container, (container.get("lastState") or {}).get("terminated") or {})
    if why in _PULL:
        return _unpulled(container, waiting, events)
    if why in _UNUSABLE:
        return _named(container, (Reason.IMAGE_UNUSABLE, False), waiting)
    if why in _CREATE:
        return _named(container, messages.of_configuration(waiting.get("message", "")), waiting)
    return None


def _ended(container: Manifest, ended: Manifest) -> Finding:
    restarts = container.get("restartCount", 0)
    passing = restarts < _HOPELESS_RESTARTS
    code, why = ended.get("exitCode", "unknown"), ended.get("reason", "Error")
    words = ended.get("message", "").strip()
    said = f": {words[-_LAST_WORDS:]}" if words else ""
    times = f" after {restarts} restarts" if restarts else ""
    message = f"container {container['name']} ended with exit code {code} ({why}){times}{said}"
    reason = Reason.OUT_OF_MEMORY if why == "OOMKilled" else Reason.CONTAINER_FAILED
    return Finding(reason, message, passing)


def _unpulled(container: Manifest, waiting: Manifest, events: Sequence[Manifest]) -> Finding:
    """A kubelet that only says that it waits has said why in an event."""
    text = waiting.get("message", "")
    if waiting["reason"] == "ImagePullBackOff" and "ErrImagePull" not in text:
        pulls = [event["message"] for event in events if _is_failed_pull(event)]
        text = pulls[-1] if pulls else text
    return _named(container, messages.of_pull(text), {**waiting, "message": text})


def _is_failed_pull(event: Manifest) -> bool:
    return event.get("reason") == "Failed" and "failed to pull image" in event.get("message", "").lower()


def _named(container: Manifest, judgement: messages.Judgement, waiting: Manifest) -> Finding:
    reason, passing = judgement
    text = waiting.get("message") or f"image {container.get('image')}"
    return Finding(reason, f"container {container['name']} waits: {waiting['reason']}: {text}", passing)
