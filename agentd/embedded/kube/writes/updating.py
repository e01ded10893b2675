"""Changing an object that is there: what PUT, PATCH and apply have in common."""

from collections.abc import Callable

from agentd.embedded.kube.admission import admit, check_admission
from agentd.embedded.kube.objects import Json, Object, clone, dig, is_terminating, metadata
from agentd.embedded.kube.ownership import Scope, same_but_times, updated
from agentd.embedded.kube.rules import rules_of
from agentd.embedded.kube.rules.meta import check_changed_metadata, check_new_metadata
from agentd.embedded.kube.status import ApiError, conflict, invalid, wrong
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes.bodies import check_name, check_place, read_body
from agentd.embedded.kube.writes.call import LABELS_APART, Call
from agentd.embedded.kube.writes.creating import create

_STALE = "the object has been modified; please apply your changes to the latest version and try again"


def replace(world: World, call: Call, raw: Json) -> tuple[Object, bool]:
    """PUT: the object as stored, and whether it is new. ApiError 409 when the client's copy is stale."""
    new = read_body(call, raw)
    check_name(call, new)
    check_place(call, new)
    live = world.store.get(call.kind.resource, call.namespace, call.name)
    if live is None:
        if call.kind.create_on_update and not call.subresource:
            return create(world, call, raw), True
        raise call.not_found()
    wanted = metadata(new).get("uid")
    if wanted and wanted != live["metadata"]["uid"]:
        raise _other_uid(call, wanted, live["metadata"]["uid"])
    return update(world, call, live, new), False


def update(world: World, call: Call, live: Object, new: Object) -> Object:
    """Put a new state, read and with defaults, in the place of the live one. Ownership follows from the difference."""
    scope = Scope(call.kind.type, call.ignored_paths)
    return settle(world, call, live, updated(scope, live, new, call.updater, world.now()))


def settle(world: World, call: Call, live: Object, new: Object) -> Object:
    """Check and store a new state that knows its owners. Nothing is stored when nothing differs."""
    kind, meta = call.kind, metadata(new)
    _check_version(call, live, meta)
    _keep_system_fields(live, meta)
    _isolate(call, live, new)
    admit(world, call, new, live)
    rules = rules_of(kind)
    if call.subresource != "finalize":
        rules.prepare_update(world, new, live)
    if kind.counts_generations and _content(kind.status, new) != _content(kind.status, live):
        meta["generation"] = meta.get("generation", 0) + 1
    causes = [*check_changed_metadata(new, live), *check_new_metadata(kind, new)]
    if not call.subresource or call.subresource == "scale":
        causes += [*rules.validate(new), *rules.validate_update(new, live)]
    if causes:
        raise invalid(kind.group, kind.kind, call.name, causes)
    check_admission(world, call, new, live)
    if same_but_times(new, live):
        return live
    if is_finished(new):
        if not call.dry_run:
            gone = world.store.remove(kind.resource, call.namespace, call.name)
            meta["resourceVersion"] = gone["metadata"]["resourceVersion"]
        return new
    if call.dry_run:
        return new
    return world.store.put(kind.resource, new)


def transform(world: World, call: Call, change: Callable[[Object], None]) -> Object:
    """Change a copy of the live object, and store it. ApiError 404."""
    live = world.store.get(call.kind.resource, call.namespace, call.name)
    if live is None:
        raise call.not_found()
    new: Object = clone(live)
    change(new)
    return update(world, call, live, new)


def is_finished(item: Object) -> bool:
    """Whether an object goes for good: it is to be deleted, and nothing holds it."""
    meta = item["metadata"]
    held = meta.get("finalizers") or (dig(item, "spec", "finalizers") and item["kind"] == "Namespace")
    return is_terminating(item) and not held and not meta.get("deletionGracePeriodSeconds")


def _check_version(call: Call, live: Object, meta: Object) -> None:
    version = meta.get("resourceVersion")
    if not version:
        if not call.kind.unconditional_update:
            told = wrong("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(call.kind.group, call.kind.plural, call.name, [told])
        meta["resourceVersion"] = live["metadata"]["resourceVersion"]
    elif version != live["metadata"]["resourceVersion"]:
        raise conflict(call.kind.group, call.kind.plural, call.name, _STALE)


def _keep_system_fields(live: Object, meta: Object) -> None:
    old = live["metadata"]
    meta.setdefault("uid", old["uid"])
    for name in ("creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if name in old:
            meta[name] = old[name]
        else:
            meta.pop(name, None)


def _isolate(call: Call, live: Object, new: Object) -> None:
    """The status is not written by the object's own endpoint, and nothing else by the status endpoint."""
    if not call.subresource and call.kind.status:
        _take(new, live, "status")
    if call.subresource != "status":
        return
    for name in {*new, *live} - {"status", "metadata", "apiVersion", "kind"}:
        _take(new, live, name)
    if call.kind.custom:
        kept = {
            "managedFields": new["metadata"].get("managedFields"),
            "resourceVersion": new["metadata"]["resourceVersion"],
        }
        new["metadata"] = {**live["metadata"], **{key: value for key, value in kept.items() if value is not None}}
    elif call.kind.group in LABELS_APART:
        _take(new["metadata"], live["metadata"], "labels")


def _take(new: Object, live: Object, name: str) -> None:
    if name in live:
        new[name] = live[name]
    else:
        new.pop(name, None)


def _content(has_status: bool, item: Object) -> Object:
    left_out = ("metadata", "status") if has_status else ("metadata",)
    return {key: value for key, value in item.items() if key not in left_out}


def _other_uid(call: Call, wanted: str, there: str) -> ApiError:
    kind = call.kind
    place = "/".join(filter(None, ("/registry", kind.plural, call.namespace, call.name)))
    return conflict(
        kind.group,
        kind.plural,
        call.name,
        f"StorageError: invalid object, Code: 4, Key: {place}, ResourceVersion: 0, AdditionalErrorMsg: "
        f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {there}",
    )
