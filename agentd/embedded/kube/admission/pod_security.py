"""Pod Security admission: the labels of a namespace say what its pods may do."""

from dataclasses import dataclass

from agentd.embedded.kube.admission.pod_security_rules import shown, template_spec, violations
from agentd.embedded.kube.admission.request import Request, refused
from agentd.embedded.kube.kinds import NAMESPACES, PODS
from agentd.embedded.kube.objects import Object, ObjectView, labels_of, name_of, namespace_of
from agentd.embedded.kube.status import Cause, invalid, wrong
from agentd.embedded.kube.world import World

_PREFIX = "pod-security.kubernetes.io/"
_LEVELS = ("privileged", "baseline", "restricted")
_MAKERS = frozenset(
    {
        ("", "podtemplates"),
        ("", "replicationcontrollers"),
        ("apps", "daemonsets"),
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("apps", "statefulsets"),
        ("batch", "cronjobs"),
        ("batch", "jobs"),
    }
)


@dataclass(frozen=True, slots=True)
class _Policy:
    """A level and the version of its rules."""

    level: str
    version: str

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"


def _policy(namespace: ObjectView, mode: str) -> _Policy:
    labels = labels_of(namespace)
    level = labels.get(_PREFIX + mode)
    if mode == "warn" and level is None:  # what would be refused is warned of where it is made
        return _policy(namespace, "enforce")
    return _Policy(level or "privileged", labels.get(f"{_PREFIX}{mode}-version", "latest"))


def check_pod(world: World, request: Request, pod: Object, live: Object | None) -> None:
    """ApiError 403 when the pod breaks the namespace's level; a warning where it breaks the level of warnings."""
    namespace = world.store.get(NAMESPACES, "", namespace_of(pod))
    if namespace is None or (live is not None and live["spec"] == pod["spec"]):
        return
    policy = _policy(namespace, "enforce")
    found = violations(pod["spec"], policy.level)
    if found:
        raise refused(request, name_of(pod), f'violates PodSecurity "{policy}": {shown(found)}')
    _warn(request, pod["spec"], _policy(namespace, "warn"))


def warn_of_template(world: World, request: Request, item: Object) -> None:
    """A warning when the pods that the object makes would be refused."""
    if request.kind.resource not in _MAKERS:
        return
    namespace, spec = world.store.get(NAMESPACES, "", namespace_of(item)), template_spec(item)
    if namespace is not None and spec is not None:
        _warn(request, spec, _policy(namespace, "warn"))


def warn_of_existing(world: World, request: Request, namespace: Object, live: Object | None) -> None:
    """Warnings of pods that a new level would refuse. ApiError 422 for a level that is none."""
    causes = [
        _bad_level(mode, level)
        for mode in ("enforce", "audit", "warn")
        if (level := labels_of(namespace).get(_PREFIX + mode)) not in (None, *_LEVELS)
    ]
    if causes:
        raise invalid("", "Namespace", name_of(namespace), causes)
    policy = _policy(namespace, "enforce")
    if live is None or policy == _policy(live, "enforce"):
        return
    bad = [
        (name_of(pod), ", ".join(name for name, _ in found))
        for pod in world.store.all(PODS, name_of(namespace))
        if (found := violations(pod["spec"], policy.level))
    ]
    if bad:
        told = f'existing pods in namespace "{name_of(namespace)}" violate the new PodSecurity enforce level "{policy}"'
        request.warnings += [told, *(f"{name}: {reasons}" for name, reasons in bad)]


def _bad_level(mode: str, level: str | None) -> Cause:
    return wrong(f"metadata.labels[{_PREFIX}{mode}]", level, f"must be one of {', '.join(_LEVELS)}")


def _warn(request: Request, spec: ObjectView, policy: _Policy) -> None:
    found = violations(spec, policy.level)
    if found:
        request.warnings.append(f'would violate PodSecurity "{policy}": {shown(found)}')
