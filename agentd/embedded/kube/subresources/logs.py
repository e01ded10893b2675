"""Logs of pods: what their annotation says that they have written."""

from collections.abc import AsyncIterator, Mapping

from agentd.embedded.kube.kinds import PODS
from agentd.embedded.kube.kubelet.behaviour import log_of
from agentd.embedded.kube.objects import Object, child, dig
from agentd.embedded.kube.status import bad_request
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes import Call

_ENDED = ("Succeeded", "Failed")


def check_log(world: World, call: Call, container: str) -> Object:
    """The pod, if its container has a log. ApiError 400 or 404."""
    pod = world.store.get(PODS, call.namespace, call.name)
    if pod is None:
        raise call.not_found()
    fields = ("containers", "initContainers", "ephemeralContainers")
    names = [one["name"] for field in fields for one in child(pod, "spec").get(field) or ()]
    if not container and len(child(pod, "spec", "containers")) > 1:
        listed = " ".join(names)
        raise bad_request(f"a container name must be specified for pod {call.name}, choose one of: [{listed}]")
    if container and container not in names:
        raise bad_request(f"container {container} is not valid for pod {call.name}")
    _check_started(pod, call.name, container or names[0])
    return pod


def text_of(pod: Object, query: Mapping[str, str]) -> str:
    """The part of the log that is asked for."""
    lines = log_of(pod).splitlines(keepends=True)
    if "tailLines" in query:
        count = int(query["tailLines"])
        lines = lines[-count:] if count else []
    if query.get("timestamps", "").lower() == "true":
        started = dig(pod, "status", "startTime") or pod["metadata"]["creationTimestamp"]
        lines = [f"{started.removesuffix('Z')}.000000000Z {line}" for line in lines]
    text = "".join(lines)
    return text[: int(query["limitBytes"])] if "limitBytes" in query else text


async def followed(world: World, call: Call, pod: Object, query: Mapping[str, str]) -> AsyncIterator[bytes]:
    """The log so far, and what comes to it, until the pod has ended or is gone."""
    written = log_of(pod)
    yield text_of(pod, query).encode()
    uid = pod["metadata"]["uid"]
    feed = world.store.feed(PODS)
    while True:
        changed = feed.changed
        now = world.store.get(PODS, call.namespace, call.name)
        if now is None or now["metadata"]["uid"] != uid:
            return
        text = log_of(now)
        if text.startswith(written) and text != written:
            yield text[len(written) :].encode()
            written = text
        if dig(now, "status", "phase") in _ENDED:
            return
        await changed.wait()


def _check_started(pod: Object, name: str, container: str) -> None:
    statuses = [
        one
        for field in ("containerStatuses", "initContainerStatuses")
        for one in child(pod, "status").get(field) or ()
        if one["name"] == container
    ]
    waiting = dig(statuses[0], "state", "waiting") if statuses else {"reason": "ContainerCreating"}
    if waiting is not None and not dig(statuses[0] if statuses else {}, "lastState", "terminated"):
        told = waiting.get("reason", "ContainerCreating")
        raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {told}')
