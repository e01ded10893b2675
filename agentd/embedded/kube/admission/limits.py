"""Limit ranges: what containers get when they do not say it, and how much one may ask for."""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from agentd.embedded.kube.admission.request import Request, refused
from agentd.embedded.kube.kinds import LIMIT_RANGES
from agentd.embedded.kube.objects import Object, ObjectView, annotations_of, child, metadata, name_of, namespace_of
from agentd.embedded.kube.quantities import parse
from agentd.embedded.kube.world import World

_NOTE = "kubernetes.io/limit-ranger"
_Quantities = Mapping[str, str]


def apply_limits(world: World, pod: Object) -> None:
    """Give containers the default requests and limits of the namespace, and note it on the pod."""
    notes: list[str] = []
    for limit_range in world.store.all(LIMIT_RANGES, namespace_of(pod)):
        for limit in child(limit_range, "spec", "limits") or ():
            if limit.get("type") != "Container":
                continue
            for field in ("containers", "initContainers"):
                for container in pod["spec"].get(field) or ():
                    notes += _fill(container, limit, "init container" if field == "initContainers" else "container")
    if notes and _NOTE not in annotations_of(pod):
        metadata(pod).setdefault("annotations", {})[_NOTE] = "LimitRanger plugin set: " + "; ".join(notes)


def check_limits(world: World, request: Request, pod: Object) -> None:
    """ApiError 403 when the pod or a container asks for too little or too much."""
    faults: list[str] = []
    for limit in _limits(world, pod):
        if limit["type"] == "Container":
            for container in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())):
                faults += _faults(limit, child(container, "resources"))
        elif limit["type"] == "Pod":
            faults += _faults(limit, _total(pod))
    _refuse(request, pod, faults)


def check_claim_limits(world: World, request: Request, claim: Object) -> None:
    """ApiError 403 when a volume claim asks for too little or too much."""
    faults: list[str] = []
    for limit in _limits(world, claim):
        if limit["type"] == "PersistentVolumeClaim":
            requests = {"requests": child(claim, "spec", "resources", "requests")}
            faults += _faults(limit, {**requests, "limits": requests["requests"]})
    _refuse(request, claim, faults)


def _limits(world: World, item: Object) -> Iterator[Object]:
    for limit_range in world.store.all(LIMIT_RANGES, namespace_of(item)):
        yield from child(limit_range, "spec", "limits") or ()


def _refuse(request: Request, item: Object, faults: list[str]) -> None:
    if faults:
        raise refused(request, name_of(item), faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")


def _fill(container: Object, limit: ObjectView, word: str) -> Iterator[str]:
    resources = container.setdefault("resources", {})
    for field, source in (("requests", "defaultRequest"), ("limits", "default")):
        missing = {
            name: quantity for name, quantity in child(limit, source).items() if name not in child(resources, field)
        }
        if missing:
            resources[field] = {**missing, **child(resources, field)}
            verb = "request" if field == "requests" else "limit"
            yield f"{', '.join(sorted(missing))} {verb} for {word} {container['name']}"


def _faults(limit: ObjectView, resources: ObjectView) -> Iterator[str]:
    requests, limits, kind = child(resources, "requests"), child(resources, "limits"), limit["type"]
    for name, least in child(limit, "min").items():
        yield from _minimum(f"minimum {name} usage per {kind} is {least}", least, requests.get(name), limits.get(name))
    for name, most in child(limit, "max").items():
        yield from _maximum(f"maximum {name} usage per {kind} is {most}", most, requests.get(name), limits.get(name))
    for name, most in child(limit, "maxLimitRequestRatio").items():
        yield from _ratio(
            f"{name} max limit to request ratio per {kind} is {most}", most, requests.get(name), limits.get(name)
        )


def _minimum(told: str, least: str, request: str | None, limit: str | None) -> Iterator[str]:
    if request is None:
        yield f"{told}.  No request is specified"
    elif parse(request) < parse(least):
        yield f"{told}, but request is {request}"
    elif limit is not None and parse(limit) < parse(least):
        yield f"{told}, but limit is {limit}"


def _maximum(told: str, most: str, request: str | None, limit: str | None) -> Iterator[str]:
    if limit is None:
        yield f"{told}.  No limit is specified"
    elif parse(limit) > parse(most):
        yield f"{told}, but limit is {limit}"
    elif request is not None and parse(request) > parse(most):
        yield f"{told}, but request is {request}"


def _ratio(told: str, most: str, request: str | None, limit: str | None) -> Iterator[str]:
    if not request or not parse(request):
        yield f"{told}, but no request is specified or request is 0"
    elif not limit or not parse(limit):
        yield f"{told}, but no limit is specified or limit is 0"
    elif parse(limit) / parse(request) > parse(most):
        yield f"{told}, but provided ratio is {float(parse(limit) / parse(request)):f}"


def _total(pod: Object) -> Object:
    told: Object = {}
    for field in ("requests", "limits"):
        sums = pod_total(pod, field)
        told[field] = {name: str(value) for name, value in sums.items()}
    return told


def pod_total(pod: ObjectView, field: str) -> dict[str, Fraction]:
    """What a pod asks for: the sum of its containers, or its largest init container if that is more."""
    spec = child(pod, "spec")
    running = _combined(spec.get("containers") or [], field, lambda one, other: one + other)
    starting = _combined(spec.get("initContainers") or [], field, max)
    return {
        name: max(running.get(name, Fraction()), starting.get(name, Fraction())) for name in {**running, **starting}
    }


def _combined(
    containers: list[Object], field: str, combine: Callable[[Fraction, Fraction], Fraction]
) -> dict[str, Fraction]:
    sums: dict[str, Fraction] = {}
    for container in containers:
        for name, quantity in child(container, "resources", field).items():
            sums[name] = combine(sums[name], parse(quantity)) if name in sums else parse(quantity)
    return sums
