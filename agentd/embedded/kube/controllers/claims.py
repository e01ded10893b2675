"""A volume claim stays as long as a pod uses it."""

from collections.abc import Iterable, Iterator

from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.kinds import PODS
from agentd.embedded.kube.objects import Object, child, is_terminating, name_of, namespace_of
from agentd.embedded.kube.rules.contents import CLAIM_FINALIZER
from agentd.embedded.kube.store import Change, ChangeType
from agentd.embedded.kube.world import World

_CLAIMS = ("", "persistentvolumeclaims")
_ENDED = ("Succeeded", "Failed")


def _keys(_world: World, change: Change) -> Iterable[Key]:
    if change.resource == _CLAIMS and is_terminating(change.item):
        return ((namespace_of(change.item), name_of(change.item)),)
    if change.resource == PODS and (change.type is ChangeType.DELETED or _has_ended(change.item)):
        return [(namespace_of(change.item), name) for name in _claims_of(change.item)]
    return ()


def _reconcile(hands: Hands, key: Key) -> None:
    claim = hands.get(_CLAIMS, *key)
    if claim is None or not is_terminating(claim) or CLAIM_FINALIZER not in (claim["metadata"].get("finalizers") or ()):
        return
    pods = hands.world.store.all(PODS, namespace_of(claim))
    if any(name_of(claim) in _claims_of(pod) and not _has_ended(pod) for pod in pods):
        return

    def change(new: Object) -> None:
        new["metadata"]["finalizers"] = [one for one in new["metadata"]["finalizers"] if one != CLAIM_FINALIZER]

    hands.change(_CLAIMS, claim, change)


def _claims_of(pod: Object) -> Iterator[str]:
    for volume in child(pod, "spec", "volumes") or ():
        name = child(volume, "persistentVolumeClaim").get("claimName")
        if name:
            yield name


def _has_ended(pod: Object) -> bool:
    return child(pod, "status").get("phase") in _ENDED


CLAIM_PROTECTION = Controller("pvc-protection", _keys, _reconcile)
