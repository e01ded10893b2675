"""Quotas say how much of each thing their namespace has, whatever came and went."""

from collections.abc import Iterable

from agentd.embedded.kube.admission.quotas import total_usage
from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.kinds import RESOURCE_QUOTAS
from agentd.embedded.kube.objects import dig, name_of, namespace_of
from agentd.embedded.kube.store import Change, ChangeType
from agentd.embedded.kube.world import World


def _keys(world: World, change: Change) -> Iterable[Key]:
    namespace = namespace_of(change.item)
    if not namespace or not world.store.count(RESOURCE_QUOTAS, namespace):
        return ()
    if change.resource != RESOURCE_QUOTAS and change.type is ChangeType.ADDED:
        return ()  # admission has counted it
    return [(namespace, name_of(quota)) for quota in world.store.all(RESOURCE_QUOTAS, namespace)]


def _reconcile(hands: Hands, key: Key) -> None:
    quota = hands.get(RESOURCE_QUOTAS, *key)
    if quota is None:
        return
    hard = dig(quota, "spec", "hard") or {}
    used = total_usage(hands.world, hands.world.kinds, namespace_of(quota), hard)
    hands.set_status(RESOURCE_QUOTAS, quota, {"hard": dict(hard), "used": used} if hard else {})


QUOTA_CONTROLLER = Controller("resourcequota", _keys, _reconcile)
