"""Deployments: a replica set for each template, and a rollout from one to the next."""

from datetime import datetime
from math import ceil, floor
from typing import NamedTuple

from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.controllers.owned import (
    is_active,
    keys_of,
    owned_by,
    reference,
    template_hash,
    with_condition,
    without_condition,
)
from agentd.embedded.kube.kinds import DEPLOYMENTS, PODS, REPLICA_SETS
from agentd.embedded.kube.objects import (
    Json,
    Object,
    annotations_of,
    child,
    clone,
    dig,
    is_terminating,
    labels_of,
    metadata,
    name_of,
    namespace_of,
)
from agentd.embedded.kube.world import World

REVISION = "deployment.kubernetes.io/revision"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MOST = "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"
_PERCENT = "%"
_DONE = "NewReplicaSetAvailable"
_CREATED = "NewReplicaSetCreated"
_STUCK = "ProgressDeadlineExceeded"
_ADVANCES = ("updatedReplicas", "readyReplicas", "availableReplicas")
_DEADLINE_S = 600
_GRACE_S = 0.05  # times are told in whole seconds


class _Sets(NamedTuple):
    """The replica set of the current template, and those of former ones that still have pods or may be gone back to."""

    new: Object | None
    old: list[Object]

    @property
    def all(self) -> list[Object]:
        return [*self.old, *([self.new] if self.new else [])]


def _reconcile(hands: Hands, key: Key) -> float | None:
    owner = hands.get(DEPLOYMENTS, *key)
    if owner is None:
        return None
    if not is_terminating(owner):
        sets = _sets(hands, owner)
        if not owner["spec"].get("paused"):
            if sets.new is None and not _waits_for_old(hands.world, owner, sets):
                sets = sets._replace(new=_create_set(hands, owner, sets))
            owner = _note_revision(hands, owner, sets)
            _scale(hands, owner, sets)
            _forget_old(hands, owner, sets)
    owner = hands.set_status(DEPLOYMENTS, owner, _status(hands.world, owner, _sets(hands, owner)))
    return _until_stuck(hands.world, owner)


def _sets(hands: Hands, owner: Object) -> _Sets:
    owned = list(owned_by(hands.world, owner, REPLICA_SETS))
    wanted = template_hash(owner["spec"]["template"])
    new = next((item for item in owned if labels_of(item).get(HASH) == wanted), None)
    return _Sets(new, [item for item in owned if item is not new])


def _waits_for_old(world: World, owner: Object, sets: _Sets) -> bool:
    """Whether the former pods have to be gone first."""
    if dig(owner, "spec", "strategy", "type") != "Recreate":
        return False
    return any(_replicas(item) or _has_pods(world, item) for item in sets.old)


def _has_pods(world: World, item: Object) -> bool:
    return any(is_active(pod) or is_terminating(pod) for pod in owned_by(world, item, PODS))


def _create_set(hands: Hands, owner: Object, sets: _Sets) -> Object:
    spec = owner["spec"]
    name = template_hash(spec["template"])
    template = clone(spec["template"])
    labels = metadata(template)["labels"] = {**(metadata(template).get("labels") or {}), HASH: name}
    selector = clone(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: name}
    wanted, limits = owner["spec"].get("replicas", 1), _limits(owner)
    annotations = {
        REVISION: str(max([0, *(_revision(one) for one in sets.old)]) + 1),
        _DESIRED: str(wanted),
        _MOST: str(wanted + limits.surge),
    }
    item = {
        "metadata": {
            "name": f"{name_of(owner)}-{name}",
            "labels": dict(labels),
            "annotations": annotations,
            "ownerReferences": [reference(owner)],
        },
        "spec": {"replicas": _room(owner, sets), "selector": selector, "template": template},
    }
    return hands.create(REPLICA_SETS, namespace_of(owner), item)


def _note_revision(hands: Hands, owner: Object, sets: _Sets) -> Object:
    if sets.new is None:
        return owner
    newest = max(_revision(one) for one in sets.all)
    if _revision(sets.new) < newest or not _revision(sets.new):  # a rollback: the old set becomes the newest
        newest += 1
        hands.change(REPLICA_SETS, sets.new, lambda item: _annotate(item, str(newest)))
    if annotations_of(owner).get(REVISION) == str(newest):
        return owner
    return hands.change(DEPLOYMENTS, owner, lambda item: _annotate(item, str(newest)))


def _annotate(item: Object, revision: str) -> None:
    metadata(item)["annotations"] = {**annotations_of(item), REVISION: revision}


def _scale(hands: Hands, owner: Object, sets: _Sets) -> None:
    """One step of a rollout: as many new pods as the surge allows, and as few old ones as stay available."""
    wanted, limits = owner["spec"].get("replicas", 1), _limits(owner)
    old_total = sum(_replicas(item) for item in sets.old)
    if sets.new is not None:
        room = _room(owner, sets)
        _set_replicas(hands, sets.new, min(wanted, max(_replicas(sets.new), room)))
    ready = sum(child(item, "status").get("availableReplicas", 0) for item in sets.all)
    spare = old_total if limits.recreate else max(0, ready - (wanted - limits.unavailable)) + _unready(sets.old)
    for item in sorted(sets.old, key=_revision):
        taken = min(spare, _replicas(item))
        _set_replicas(hands, item, _replicas(item) - taken)
        spare -= taken


class _Limits(NamedTuple):
    """How many pods more than wanted there may be during a rollout, and how many fewer available."""

    surge: int
    unavailable: int
    recreate: bool


def _limits(owner: Object) -> _Limits:
    wanted = owner["spec"].get("replicas", 1)
    if dig(owner, "spec", "strategy", "type") == "Recreate":
        return _Limits(0, wanted, recreate=True)
    rolling = child(owner, "spec", "strategy", "rollingUpdate")
    surge = _absolute(rolling.get("maxSurge"), wanted, up=True)
    unavailable = _absolute(rolling.get("maxUnavailable"), wanted, up=False)
    return _Limits(surge, unavailable if surge or unavailable else 1, recreate=False)


def _room(owner: Object, sets: _Sets) -> int:
    """How many pods of the new template there may be beside the old ones."""
    wanted: int = owner["spec"].get("replicas", 1)
    return min(wanted, max(0, wanted + _limits(owner).surge - sum(_replicas(item) for item in sets.old)))


def _unready(sets: list[Object]) -> int:
    return sum(max(0, _replicas(item) - child(item, "status").get("availableReplicas", 0)) for item in sets)


def _set_replicas(hands: Hands, item: Object, number: int) -> None:
    def change(new: Object) -> None:
        new["spec"]["replicas"] = number

    if _replicas(item) != number:
        hands.change(REPLICA_SETS, item, change)


def _forget_old(hands: Hands, owner: Object, sets: _Sets) -> None:
    kept = owner["spec"].get("revisionHistoryLimit", 10)
    idle = [item for item in sets.old if not _replicas(item) and not child(item, "status").get("replicas")]
    for item in sorted(idle, key=_revision)[: max(0, len(idle) - kept)]:
        hands.delete(REPLICA_SETS, item)


def _status(world: World, owner: Object, sets: _Sets) -> Object:
    wanted = owner["spec"].get("replicas", 1)
    total = {name: sum(child(item, "status").get(name, 0) for item in sets.all) for name in _COUNTS}
    updated = child(sets.new, "status").get("replicas", 0) if sets.new else 0
    before = child(owner, "status")
    counts = {
        **total,
        "updatedReplicas": updated,
        "unavailableReplicas": max(0, wanted - total["availableReplicas"]),
    }
    status: Object = {
        "observedGeneration": owner["metadata"]["generation"],
        "terminatingReplicas": sum(child(item, "status").get("terminatingReplicas", 0) for item in sets.all),
        **({"collisionCount": before["collisionCount"]} if "collisionCount" in before else {}),
    }
    status |= {name: number for name, number in counts.items() if number}
    status["conditions"] = _available(world, owner, total["availableReplicas"], before.get("conditions") or [])
    if not owner["spec"].get("paused"):
        status["conditions"] = _progressing(world, owner, sets, status)
    status["conditions"] = _failing(world, sets, status["conditions"])
    return status


def _available(world: World, owner: Object, available: int, conditions: list[Object]) -> list[Object]:
    wanted = owner["spec"].get("replicas", 1)
    limits = _limits(owner)
    enough = available >= wanted - (0 if limits.recreate else limits.unavailable)
    told = {
        "type": "Available",
        "status": "True" if enough else "False",
        "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
    }
    return _updated(world, conditions, told)


def _progressing(world: World, owner: Object, sets: _Sets, status: Object) -> list[Object]:
    """The conditions with how the rollout goes: done, going on, or stuck for longer than it may be."""
    conditions: list[Object] = status["conditions"]
    told = _progress(owner, sets)
    known = next((one for one in conditions if one["type"] == "Progressing"), None)
    if known is None or told["reason"] == _DONE:
        return _updated(world, conditions, told)
    before = child(owner, "status")
    if any(status.get(name, 0) > before.get(name, 0) for name in _ADVANCES):
        return [*without_condition(conditions, "Progressing"), {**known, **told, "lastUpdateTime": world.now()}]
    if known["reason"] == _STUCK or _time_left(world, owner, known) <= 0:
        message = told["message"].replace("is progressing", "has timed out progressing")
        return _updated(world, conditions, {**told, "status": "False", "reason": _STUCK, "message": message})
    return _updated(world, conditions, told)


def _progress(owner: Object, sets: _Sets) -> Object:
    told = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}
    if sets.new is None:
        return {**told, "message": f'Deployment "{name_of(owner)}" is progressing.'}
    wanted, here = owner["spec"].get("replicas", 1), child(sets.new, "status")
    subject = f'ReplicaSet "{name_of(sets.new)}"'
    is_done = (
        here.get("replicas", 0) == here.get("availableReplicas", 0) == wanted
        and here.get("observedGeneration") == sets.new["metadata"]["generation"]
        and not any(child(item, "status").get("replicas") for item in sets.old)
    )
    if is_done:
        return {**told, "reason": _DONE, "message": f"{subject} has successfully progressed."}
    if wanted and not here.get("replicas"):
        return {**told, "reason": _CREATED, "message": f'Created new replica set "{name_of(sets.new)}"'}
    return {**told, "message": f"{subject} is progressing."}


def _time_left(world: World, owner: Object, progressing: Object) -> float:
    """How long the rollout may still go without an advance, in seconds."""
    since = datetime.fromisoformat(progressing["lastUpdateTime"]).timestamp()
    allowed: float = owner["spec"].get("progressDeadlineSeconds", _DEADLINE_S)
    return since + allowed - world.runtime.now()


def _until_stuck(world: World, owner: Object) -> float | None:
    """When to look whether a rollout is stuck; None when it is done, or known to be."""
    for condition in child(owner, "status", "conditions") or ():
        if condition["type"] == "Progressing" and condition["reason"] not in (_DONE, _STUCK):
            return max(0.0, _time_left(world, owner, condition)) + _GRACE_S
    return None


def _failing(world: World, sets: _Sets, conditions: list[Object]) -> list[Object]:
    failures = [
        condition
        for item in sets.all
        for condition in child(item, "status").get("conditions") or ()
        if condition["type"] == "ReplicaFailure"
    ]
    if not failures:
        return without_condition(conditions, "ReplicaFailure")
    told = {name: failures[0][name] for name in ("type", "status", "reason", "message")}
    return _updated(world, conditions, told)


def _updated(world: World, conditions: list[Object], told: Object) -> list[Object]:
    after = with_condition(world, conditions, told)
    return [one if one in conditions else {**one, "lastUpdateTime": world.now()} for one in after]


def _replicas(item: Object) -> int:
    return int(item["spec"].get("replicas", 1))


def _revision(item: Object) -> int:
    return int(annotations_of(item).get(REVISION, "0"))


def _absolute(value: Json, of: int, *, up: bool) -> int:
    """A number of pods, or a share of them."""
    if isinstance(value, str) and value.endswith(_PERCENT):
        share = of * int(value.removesuffix(_PERCENT)) / 100
        return ceil(share) if up else floor(share)
    return int(value or 0)


_COUNTS = ("replicas", "readyReplicas", "availableReplicas")
DEPLOYMENT_CONTROLLER = Controller("deployment", keys_of(DEPLOYMENTS, "Deployment", REPLICA_SETS), _reconcile)
