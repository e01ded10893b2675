"""Rules of pods."""

from collections.abc import Iterator

from agentd.embedded.kube import quantities
from agentd.embedded.kube.objects import Object, child
from agentd.embedded.kube.rules.pod_spec import check_pod_spec, check_unchanged
from agentd.embedded.kube.rules.rules import Rules
from agentd.embedded.kube.status import Cause
from agentd.embedded.kube.world import World

_COMPUTE = ("cpu", "memory")


def quality_of_service(pod: Object) -> str:
    """Guaranteed, Burstable or BestEffort: how much of what it asks for a pod can count on."""
    containers = [*(child(pod, "spec", "containers") or ()), *(child(pod, "spec", "initContainers") or ())]
    asked = [
        (name, child(container, "resources", "requests").get(name), child(container, "resources", "limits").get(name))
        for container in containers
        for name in _COMPUTE
    ]
    if not any(request or limit for _, request, limit in asked):
        return "BestEffort"
    fixed = all(limit and quantities.parse(request or limit) == quantities.parse(limit) for _, request, limit in asked)
    return "Guaranteed" if fixed else "Burstable"


def _prepare_create(_world: World, pod: Object) -> None:
    pod["status"] = {"phase": "Pending", "qosClass": quality_of_service(pod)}


def _validate(pod: Object) -> Iterator[Cause]:
    return check_pod_spec(child(pod, "spec"), "spec")


POD_RULES = Rules(prepare_create=_prepare_create, validate=_validate, validate_update=check_unchanged)
