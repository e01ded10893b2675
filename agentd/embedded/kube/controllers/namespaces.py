"""What every namespace has, and how one ends: its contents first, and it says what holds it up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.kinds import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS
from agentd.embedded.kube.objects import Object, dig, is_terminating, name_of, namespace_of
from agentd.embedded.kube.rules.namespaces import FINALIZER
from agentd.embedded.kube.store import Change, ChangeType, Resource
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes import DeleteOptions

_ROOT_CA = "kube-root-ca.crt"
_NO_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
_FINE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
        "NamespaceDeletionGroupVersionParsingFailure": (
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        "NamespaceDeletionContentFailure": (
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
        "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    }
)


def _with_contents(_world: World, change: Change) -> Iterable[Key]:
    """The namespace itself, or that of a standard object which went."""
    if change.resource == NAMESPACES:
        return (("", name_of(change.item)),)
    if change.resource in (SERVICE_ACCOUNTS, CONFIG_MAPS) and change.type is ChangeType.DELETED:
        return (("", namespace_of(change.item)),)
    return ()


def _give_contents(hands: Hands, key: Key) -> None:
    _, name = key
    namespace = hands.get(NAMESPACES, "", name)
    if namespace is None or is_terminating(namespace):
        return
    if hands.get(SERVICE_ACCOUNTS, name, "default") is None:
        hands.create(SERVICE_ACCOUNTS, name, {"metadata": {"name": "default"}})
    if hands.get(CONFIG_MAPS, name, _ROOT_CA) is None:
        told = {
            "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using "
            "internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed "
            "across distributions of Kubernetes clusters."
        }
        item = {"metadata": {"name": _ROOT_CA, "annotations": told}, "data": {"ca.crt": _NO_CERTIFICATE}}
        hands.create(CONFIG_MAPS, name, item)


def _ending(world: World, change: Change) -> Iterable[Key]:
    """The namespace, if it is terminating, and this is it or something in it."""
    name = name_of(change.item) if change.resource == NAMESPACES else namespace_of(change.item)
    namespace = world.store.get(NAMESPACES, "", name) if name else None
    return (("", name),) if namespace is not None and is_terminating(namespace) else ()


def _end(hands: Hands, key: Key) -> None:
    namespace = hands.get(NAMESPACES, *key)
    if namespace is None or not is_terminating(namespace):
        return
    remaining = _delete_contents(hands, name_of(namespace))
    status = {**namespace.get("status", {}), "conditions": _conditions(hands.world, namespace, remaining)}
    namespace = hands.set_status(NAMESPACES, namespace, status)
    if not remaining and FINALIZER in (dig(namespace, "spec", "finalizers") or ()):
        _finalize(hands, namespace)


def _delete_contents(hands: Hands, name: str) -> dict[Resource, list[Object]]:
    """Ask for the end of everything; what is still there then has a finalizer, or a grace period."""
    store, remaining = hands.world.store, {}
    for kind in hands.world.kinds.resources():
        if not kind.namespaced or not store.count(kind.resource, name):
            continue
        for item in list(store.all(kind.resource, name)):
            if not is_terminating(item):
                hands.delete(kind.resource, item, DeleteOptions(propagation="Background"))
        left = list(store.all(kind.resource, name))
        if left:
            remaining[kind.resource] = left
    return remaining


def _finalize(hands: Hands, namespace: Object) -> None:
    def change(new: Object) -> None:
        new["spec"]["finalizers"] = [name for name in new["spec"]["finalizers"] if name != FINALIZER]

    hands.change(NAMESPACES, namespace, change, subresource="finalize")


def _conditions(world: World, namespace: Object, remaining: Mapping[Resource, list[Object]]) -> list[Object]:
    told = {name: ("False", *fine) for name, fine in _FINE.items()}
    if remaining:
        counts = sorted(
            f"{plural}.{group} has {len(items)} resource instances" for (group, plural), items in remaining.items()
        )
        message = f"Some resources are remaining: {', '.join(counts)}"
        told["NamespaceContentRemaining"] = ("True", "SomeResourcesRemain", message)
    finalizers = Counter(
        finalizer
        for items in remaining.values()
        for item in items
        for finalizer in item["metadata"].get("finalizers", ())
    )
    if finalizers:
        listed = sorted(f"{name} in {number} resource instances" for name, number in finalizers.items())
        message = f"Some content in the namespace has finalizers remaining: {', '.join(listed)}"
        told["NamespaceFinalizersRemaining"] = ("True", "SomeFinalizersRemain", message)
    before = {condition["type"]: condition for condition in dig(namespace, "status", "conditions") or ()}
    return [_condition(world, name, what, before.get(name)) for name, what in told.items()]


def _condition(world: World, name: str, what: tuple[str, str, str], before: Object | None) -> Object:
    status, reason, message = what
    since = before["lastTransitionTime"] if before and before["status"] == status else world.now()
    return {"type": name, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}


NAMESPACE_CONTENTS = Controller("namespace-contents", _with_contents, _give_contents)
NAMESPACE_LIFECYCLE = Controller("namespace-lifecycle", _ending, _end)
