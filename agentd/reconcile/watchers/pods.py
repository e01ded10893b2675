"""State of pods that are in trouble, in the environments; one that is well is not told of. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agentd.core import Reason
from agentd.platform import Kind, Manifest, keys
from agentd.platform.cluster import FIELD_MANAGER
from agentd.reconcile.watchers.environments import NAMESPACE, environment_id_of
from agentd.reconcile.watchers.views import Fact, Seen, Source, View

_POD = Kind("v1", "Pod")
_MOST_SAID = 2000


@dataclass(frozen=True, slots=True)
class PodTrouble:
    """What is in a pod's way. `passing`: it may go by itself."""

    reason: Reason
    message: str
    passing: bool


Diagnose = Callable[[Manifest], Sequence[PodTrouble]]
"""What is in a pod's way, the most telling first; nothing of one that is well."""


def pod_failures(owner_id: str, diagnose: Diagnose) -> View:
    """Pods of this agent's environments. They carry no marks, so all pods are seen, and those elsewhere passed over."""
    labels = {keys.MANAGED_BY: FIELD_MANAGER, keys.OWNER_ID: owner_id}

    def read(seen: Seen) -> Iterator[Fact]:
        for namespace in seen.get(NAMESPACE, ()):
            environment_id = environment_id_of(namespace)
            if environment_id is not None:
                for pod in seen.get(_POD, ()):
                    if found := diagnose(pod):
                        yield _fact(pod, environment_id, found[0])

    return View("pod", (Source(NAMESPACE, labels), Source(_POD)), read)


def _fact(pod: Manifest, environment_id: str, trouble: PodTrouble) -> Fact:
    metadata, status = pod["metadata"], pod.get("status") or {}
    labels = metadata.get("labels") or {}
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return Fact(
        f"pod/{metadata['uid']}",
        {
            "environment_id": environment_id,
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "component": labels.get(keys.COMPONENT),
            "phase": status.get("phase", "Unknown"),
            "node": pod["spec"].get("nodeName"),
            "reason": trouble.reason,
            "help": trouble.reason.help,
            "message": trouble.message[:_MOST_SAID],
            "passing": trouble.passing,
            "restarts": sum(container.get("restartCount", 0) for container in containers),
        },
    )
