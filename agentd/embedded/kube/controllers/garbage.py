"""Garbage collection: dependents go with their owners, or before them, or are let go, as the deletion asked for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.objects import Object, child, is_terminating, name_of, namespace_of, uid_of
from agentd.embedded.kube.store import Change, ChangeType, Resource
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes import DeleteOptions

_FOREGROUND = "foregroundDeletion"
_ORPHAN = "orphan"
_Place = tuple[Resource, str, str]


@dataclass(slots=True)
class GarbageCollector:
    """Knows who owns what. Its keys are uids of owners, and of dependents whose owner may be gone already."""

    _dependents: dict[str, set[_Place]] = field(default_factory=dict)
    """By the owner's uid."""
    _places: dict[str, _Place] = field(default_factory=dict)
    """Where the object of a uid is."""

    def controller(self) -> Controller:
        """Its loop."""
        return Controller("garbage-collector", self._keys, self._collect)

    def _keys(self, _world: World, change: Change) -> Iterable[Key]:
        uid, place = uid_of(change.item), (change.resource, namespace_of(change.item), name_of(change.item))
        owners = set(_owners(change.item))
        for gone in set(_owners(change.previous or {})) - owners:
            self._dependents.get(gone, set()).discard(place)
        if change.type is ChangeType.DELETED:
            self._places.pop(uid, None)
            for owner in owners:
                self._dependents.get(owner, set()).discard(place)
            concerned = {uid} & self._dependents.keys()
        else:
            self._places[uid] = place
            for owner in owners:
                self._dependents.setdefault(owner, set()).add(place)
            concerned = {uid} if is_terminating(change.item) else set()
            concerned |= {owner for owner in owners if owner not in self._places}
        waiting = {owner for owner in owners if owner in self._places and change.type is ChangeType.DELETED}
        return [("", one) for one in sorted(concerned | waiting)]

    def _collect(self, hands: Hands, key: Key) -> None:
        _, uid = key
        place = self._places.get(uid)
        owner = hands.get(*place) if place is not None else None
        if owner is None or place is None:
            for dependent in self._of(hands, uid):
                self._release_or_delete(hands, dependent, uid)
            self._forget(uid)
            return
        finalizers = owner["metadata"].get("finalizers") or ()
        if not is_terminating(owner):
            return
        if _ORPHAN in finalizers:
            for resource, dependent in self._with_resource(hands, uid):
                _drop_owner(hands, resource, dependent, uid)
            _drop_finalizer(hands, place[0], owner, _ORPHAN)
        elif _FOREGROUND in finalizers:
            self._end_in_foreground(hands, place[0], owner)

    def _end_in_foreground(self, hands: Hands, resource: Resource, owner: Object) -> None:
        uid = uid_of(owner)
        for dependent_resource, dependent in self._with_resource(hands, uid):
            if not is_terminating(dependent):
                hands.delete(dependent_resource, dependent, DeleteOptions(propagation="Foreground"))
        if not any(_blocks(dependent, uid) for dependent in self._of(hands, uid)):
            _drop_finalizer(hands, resource, owner, _FOREGROUND)

    def _release_or_delete(self, hands: Hands, dependent: Object, gone: str) -> None:
        resource = self._places[uid_of(dependent)][0]
        others = [owner for owner in _owners(dependent) if owner != gone and owner in self._places]
        if others:
            _drop_owner(hands, resource, dependent, gone)
        elif not is_terminating(dependent):
            hands.delete(resource, dependent, DeleteOptions(uid=uid_of(dependent), propagation=""))

    def _of(self, hands: Hands, uid: str) -> list[Object]:
        return [dependent for _, dependent in self._with_resource(hands, uid)]

    def _with_resource(self, hands: Hands, uid: str) -> list[tuple[Resource, Object]]:
        places = sorted(self._dependents.get(uid, ()))
        found = ((place[0], hands.get(*place)) for place in places)
        return [(resource, item) for resource, item in found if item is not None and uid in _owners(item)]

    def _forget(self, uid: str) -> None:
        if not self._dependents.get(uid):
            self._dependents.pop(uid, None)


def _owners(item: Object) -> Iterator[str]:
    return (reference["uid"] for reference in child(item, "metadata", "ownerReferences") or ())


def _blocks(dependent: Object, uid: str) -> bool:
    references = dependent["metadata"].get("ownerReferences") or ()
    return any(one["uid"] == uid and one.get("blockOwnerDeletion") for one in references)


def _drop_owner(hands: Hands, resource: Resource, dependent: Object, uid: str) -> None:
    def change(new: Object) -> None:
        kept = [one for one in new["metadata"].get("ownerReferences") or () if one["uid"] != uid]
        _set_or_drop(new["metadata"], "ownerReferences", kept)

    hands.change(resource, dependent, change)


def _drop_finalizer(hands: Hands, resource: Resource, owner: Object, finalizer: str) -> None:
    def change(new: Object) -> None:
        kept = [one for one in new["metadata"].get("finalizers") or () if one != finalizer]
        _set_or_drop(new["metadata"], "finalizers", kept)

    hands.change(resource, owner, change)


def _set_or_drop(metadata: Object, name: str, value: list[Object] | list[str]) -> None:
    if value:
        metadata[name] = value
    else:
        metadata.pop(name, None)
