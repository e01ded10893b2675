"""Quotas: how much of what a namespace may have, and how much it has."""

from collections.abc import Mapping
from fractions import Fraction

from agentd.embedded.kube.admission.limits import pod_total
from agentd.embedded.kube.admission.request import Request, refused
from agentd.embedded.kube.kinds import PODS, RESOURCE_QUOTAS, Kinds
from agentd.embedded.kube.objects import Object, ObjectView, child, dig, name_of, namespace_of
from agentd.embedded.kube.quantities import family, parse, spelled
from agentd.embedded.kube.store import Resource
from agentd.embedded.kube.world import World

Usage = dict[str, Fraction]

_CLAIMS = ("", "persistentvolumeclaims")
_SERVICES = ("", "services")
_PLAIN_COUNTS = frozenset(
    ("", plural) for plural in ("configmaps", "secrets", "replicationcontrollers", "resourcequotas", "services")
)
_ENDED = ("Succeeded", "Failed")
_MUST_BE_SAID = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def charge(world: World, request: Request, new: Object, live: Object | None) -> None:
    """Count the object in the quotas of its namespace. ApiError 403 when one is exceeded; nothing is counted then."""
    namespace = namespace_of(new)
    if not namespace or not world.store.count(RESOURCE_QUOTAS, namespace):
        return
    delta = usage_of(request.kind.resource, new)
    if live is not None:
        delta = _minus(delta, usage_of(request.kind.resource, live))
    charged = [
        (quota, counted)
        for quota in world.store.all(RESOURCE_QUOTAS, namespace)
        if (counted := _charged(request, new, quota, delta)) is not None
    ]
    for quota, used in charged if not request.dry_run else ():
        status = {**child(quota, "status"), "used": used}
        world.store.put(RESOURCE_QUOTAS, {**quota, "metadata": dict(quota["metadata"]), "status": status})


def _charged(request: Request, new: Object, quota: ObjectView, delta: Usage) -> Object | None:
    """The quota's new usage; None when the object does not concern it."""
    hard, used = child(quota, "status", "hard"), child(quota, "status", "used")
    asked = {name: amount for name, amount in delta.items() if name in hard and amount > 0}
    if request.kind.resource == PODS:
        _check_said(request, new, quota, hard)
    after = {name: parse(used.get(name, "0")) + amount for name, amount in asked.items()}
    exceeded = sorted(name for name, amount in after.items() if amount > parse(hard[name]))
    if exceeded:
        requested = _shown({name: spelled(asked[name], family(hard[name])) for name in exceeded})
        there = _shown({name: str(used.get(name, "0")) for name in exceeded})
        limited = _shown({name: hard[name] for name in exceeded})
        raise refused(
            request,
            name_of(new),
            f"exceeded quota: {name_of(quota)}, requested: {requested}, used: {there}, limited: {limited}",
        )
    if not asked:
        return None
    return {**used, **{name: spelled(amount, family(hard[name])) for name, amount in after.items()}}


def _check_said(request: Request, pod: Object, quota: ObjectView, hard: ObjectView) -> None:
    """Where cpu or memory is limited, every container has to say how much it wants."""
    missing: dict[str, list[str]] = {}
    for container in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())):
        said = _container_names(container)
        for name in _MUST_BE_SAID:
            if name in hard and name not in said:
                missing.setdefault(name, []).append(container["name"])
    if missing:
        told = "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))
        raise refused(request, name_of(pod), f"failed quota: {name_of(quota)}: must specify {told}")


def _container_names(container: ObjectView) -> set[str]:
    requests = child(container, "resources", "requests")
    limits = child(container, "resources", "limits")
    return {*requests, *(f"requests.{name}" for name in requests), *(f"limits.{name}" for name in limits)}


def usage_of(resource: Resource, item: ObjectView) -> Usage:
    """What one object uses of everything that can be limited."""
    group, plural = resource
    counts: Usage = {f"count/{plural}.{group}" if group else f"count/{plural}": Fraction(1)}
    if resource in _PLAIN_COUNTS:
        counts[plural] = Fraction(1)
    if resource == PODS:
        counts |= _pod_usage(item)
    elif resource == _SERVICES:
        counts |= _service_usage(item)
    elif resource == _CLAIMS:
        counts |= _claim_usage(item)
    return counts


def total_usage(world: World, kinds: Kinds, namespace: str, hard: Mapping[str, str]) -> dict[str, str]:
    """What a namespace uses of what is limited, as a quota's status says it."""
    totals: Usage = dict.fromkeys(hard, Fraction())
    for kind in kinds.resources():
        if not kind.namespaced or not world.store.count(kind.resource, namespace):
            continue
        for item in world.store.all(kind.resource, namespace):
            for name, amount in usage_of(kind.resource, item).items():
                if name in totals:
                    totals[name] += amount
    return {name: spelled(amount, family(hard[name])) for name, amount in totals.items()}


def _pod_usage(pod: ObjectView) -> Usage:
    if dig(pod, "status", "phase") in _ENDED:
        return {}
    used: Usage = {"pods": Fraction(1)}
    for name, amount in pod_total(pod, "requests").items():
        used[f"requests.{name}"] = amount
        if "/" not in name:
            used[name] = amount
    return used | {f"limits.{name}": amount for name, amount in pod_total(pod, "limits").items()}


def _service_usage(service: ObjectView) -> Usage:
    kind, used = dig(service, "spec", "type"), Usage()
    if kind in ("NodePort", "LoadBalancer"):
        used["services.nodeports"] = Fraction(len(dig(service, "spec", "ports") or ()))
    if kind == "LoadBalancer":
        used["services.loadbalancers"] = Fraction(1)
    return used


def _claim_usage(claim: ObjectView) -> Usage:
    storage = parse(dig(claim, "spec", "resources", "requests", "storage") or "0")
    used = {"persistentvolumeclaims": Fraction(1), "requests.storage": storage}
    name = dig(claim, "spec", "storageClassName")
    if name:
        prefix = f"{name}.storageclass.storage.k8s.io"
        used |= {f"{prefix}/persistentvolumeclaims": Fraction(1), f"{prefix}/requests.storage": storage}
    return used


def _minus(one: Usage, other: Usage) -> Usage:
    return {name: one.get(name, Fraction()) - other.get(name, Fraction()) for name in {**one, **other}}


def _shown(amounts: Mapping[str, str]) -> str:
    return ",".join(f"{name}={amount}" for name, amount in sorted(amounts.items()))
