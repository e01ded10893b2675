"""What controllers of pods have in common: whose an object is, and how pods come from templates."""

import hashlib
import json
from collections.abc import Iterable, Iterator

from agentd.embedded.kube.controllers.controller import Hands, Key
from agentd.embedded.kube.kinds import PODS
from agentd.embedded.kube.objects import (
    Json,
    Object,
    ObjectView,
    child,
    clone,
    controller_of,
    dig,
    is_terminating,
    name_of,
    namespace_of,
    uid_of,
)
from agentd.embedded.kube.store import Change, Resource
from agentd.embedded.kube.world import World

_HASH_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_HASH_LENGTH = 10
_ENDED = ("Succeeded", "Failed")


def keys_of(resource: Resource, kind: str, *dependents: Resource) -> "KeysOf":
    """Keys for a controller of this kind, whose objects control dependents."""
    return KeysOf(resource, kind, dependents)


class KeysOf:
    """The object itself when it changes, and the controller of a dependent that does."""

    def __init__(self, resource: Resource, kind: str, dependents: tuple[Resource, ...]) -> None:
        self._resource = resource
        self._kind = kind
        self._dependents = dependents

    def __call__(self, _world: World, change: Change) -> Iterable[Key]:
        if change.resource == self._resource:
            return ((namespace_of(change.item), name_of(change.item)),)
        if change.resource not in self._dependents:
            return ()
        states = [change.item] if change.previous is None else [change.item, change.previous]
        owners = {owner["name"] for state in states if (owner := controller_of(state)) and owner["kind"] == self._kind}
        return [(namespace_of(change.item), name) for name in sorted(owners)]


def owned_by(world: World, owner: Object, resource: Resource) -> Iterator[Object]:
    """The objects of a resource that the owner controls."""
    uid = uid_of(owner)
    for item in world.store.all(resource, namespace_of(owner)):
        controller = controller_of(item)
        if controller is not None and controller["uid"] == uid:
            yield item


def reference(owner: Object) -> Object:
    """The owner reference of what the owner controls."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def from_template(owner: Object, template: ObjectView, **metadata: Json) -> Object:
    """A pod as its owner's template says, with this metadata."""
    meta = clone(dict(child(template, "metadata")))
    meta["ownerReferences"] = [reference(owner)]
    return {"metadata": {**meta, **metadata}, "spec": clone(dict(child(template, "spec")))}


def create_pod(hands: Hands, owner: Object, pod: Object) -> Object:
    """Create a pod beside its owner. ApiError."""
    return hands.create(PODS, namespace_of(owner), pod)


def template_hash(value: Json) -> str:
    """A short name for a content."""
    number = int.from_bytes(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:8])
    letters = []
    for _ in range(_HASH_LENGTH):
        number, rest = divmod(number, len(_HASH_LETTERS))
        letters.append(_HASH_LETTERS[rest])
    return "".join(letters)


def is_active(pod: ObjectView) -> bool:
    """Whether the pod runs, or will."""
    return not is_terminating(pod) and dig(pod, "status", "phase") not in _ENDED


def is_ready(pod: ObjectView) -> bool:
    """Whether the pod is ready."""
    conditions = dig(pod, "status", "conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def with_condition(world: World, before: Iterable[Object], told: Object) -> list[Object]:
    """The conditions with this one as it is now; its transition is noted when its status changes."""
    kept, known = [], None
    for condition in before:
        if condition["type"] == told["type"]:
            known = condition
        else:
            kept.append(condition)
    if known is not None and all(known.get(name) == value for name, value in told.items()):
        return list(before)
    changed = known is None or known["status"] != told["status"]
    since = world.now() if changed or known is None else known["lastTransitionTime"]
    return [*kept, {**told, "lastTransitionTime": since}]


def without_condition(before: Iterable[Object], name: str) -> list[Object]:
    """The conditions but for one."""
    return [condition for condition in before if condition["type"] != name]
