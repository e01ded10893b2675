"""Deleting: at once, or when its finalizers are gone, or when its grace period is over."""

from collections.abc import Iterable

from agentd.embedded.kube.custom.definitions import FINALIZER as INSTANCES_FINALIZER
from agentd.embedded.kube.kinds import DEFINITIONS, NAMESPACES, PODS
from agentd.embedded.kube.objects import Object, clone, dig, is_terminating, timestamp
from agentd.embedded.kube.status import ApiError, Details, conflict, forbidden
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes.call import Call, DeleteOptions
from agentd.embedded.kube.writes.updating import is_finished

_ORPHAN = "orphan"
_FOREGROUND = "foregroundDeletion"
_DEFAULT_GRACE_S = 30
_ENDED = ("Succeeded", "Failed")
_RETURNS_OBJECT = frozenset(
    {
        ("", "persistentvolumeclaims"),
        ("", "persistentvolumes"),
        ("", "pods"),
        ("", "podtemplates"),
        ("", "resourcequotas"),
        ("", "serviceaccounts"),
        ("", "services"),
    }
)
_ETERNAL = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})


def delete(world: World, call: Call, options: DeleteOptions) -> Object:
    """Delete, or begin to. Returns the object while it stays, and a Status or the object once it is gone."""
    live = world.store.get(call.kind.resource, call.namespace, call.name)
    if live is None:
        raise call.not_found()
    if call.kind.resource == NAMESPACES and call.name in _ETERNAL:
        raise forbidden("", "namespaces", call.name, "this namespace may not be deleted")
    _check_preconditions(call, live, options)
    ending = _ending(world, call, live, options)
    if not is_finished(ending):
        if ending == live or call.dry_run:
            return ending
        return world.store.put(call.kind.resource, ending)
    gone = live
    if not call.dry_run:
        if call.kind.resource == PODS and not is_terminating(live):
            world.store.put(call.kind.resource, ending)  # the API shows a pod's deletion before it is gone
        gone = world.store.remove(call.kind.resource, call.namespace, call.name)
    return gone if call.kind.resource in _RETURNS_OBJECT else _success(call, live)


def delete_collection(world: World, call: Call, items: Iterable[Object], options: DeleteOptions) -> None:
    """Delete each of the objects."""
    for item in list(items):
        meta = item["metadata"]
        one = Call(call.kind, meta.get("namespace", ""), meta["name"], dry_run=call.dry_run)
        if world.store.get(call.kind.resource, one.namespace, one.name) is not None:
            delete(world, one, options)


def _check_preconditions(call: Call, live: Object, options: DeleteOptions) -> None:
    meta = live["metadata"]
    if options.uid and options.uid != meta["uid"]:
        raise _mismatch(
            call,
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta['uid']}). "
            "The object might have been deleted and then recreated",
        )
    if options.resource_version and options.resource_version != meta["resourceVersion"]:
        raise _mismatch(
            call,
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion "
            f"in record ({meta['resourceVersion']}). The object might have been modified",
        )


def _mismatch(call: Call, why: str) -> ApiError:
    return conflict(call.kind.group, call.kind.kind, call.name, why)


def _ending(world: World, call: Call, live: Object, options: DeleteOptions) -> Object:
    """The object as the deletion leaves it, if it is to stay for a while."""
    ending: Object = clone(live)
    meta = ending["metadata"]
    was_terminating = is_terminating(live)
    if not was_terminating:
        _set_finalizers(meta, options.propagation)
    grace = _grace(call, live, options)
    if not was_terminating or grace < meta.get("deletionGracePeriodSeconds", 0):
        meta["deletionGracePeriodSeconds"] = grace
    if not was_terminating:
        meta["deletionTimestamp"] = timestamp(world.runtime.now() + grace)
        if "generation" in meta:
            meta["generation"] += 1
    if call.kind.resource == DEFINITIONS and not was_terminating:
        meta["finalizers"] = [*(meta.get("finalizers") or ()), INSTANCES_FINALIZER]
    if call.kind.resource == NAMESPACES:
        meta.pop("deletionGracePeriodSeconds", None)
        ending["status"] = {**ending.get("status", {}), "phase": "Terminating"}
    return ending


def _set_finalizers(meta: Object, propagation: str) -> None:
    kept = meta.get("finalizers") or []
    match propagation:
        case "Orphan":
            kept = [*(name for name in kept if name not in (_ORPHAN, _FOREGROUND)), _ORPHAN]
        case "Foreground":
            kept = [*(name for name in kept if name not in (_ORPHAN, _FOREGROUND)), _FOREGROUND]
        case "Background":
            kept = [name for name in kept if name not in (_ORPHAN, _FOREGROUND)]
        case _:
            pass
    if kept:
        meta["finalizers"] = kept
    else:
        meta.pop("finalizers", None)


def _grace(call: Call, live: Object, options: DeleteOptions) -> int:
    if call.kind.resource != PODS or not dig(live, "spec", "nodeName"):
        return 0
    if dig(live, "status", "phase") in _ENDED:
        return 0
    asked = options.grace_period_s
    if asked is None:
        asked = dig(live, "spec", "terminationGracePeriodSeconds")
    seconds = _DEFAULT_GRACE_S if asked is None else int(asked)
    return 1 if seconds < 0 else seconds


def _success(call: Call, gone: Object) -> Object:
    details = Details(call.name, call.kind.group, call.kind.plural, gone["metadata"]["uid"])
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details.shown(),
    }
