"""Creating an object."""

from agentd.embedded.kube.admission import admit, check_admission
from agentd.embedded.kube.defaulting import blank, show_presence
from agentd.embedded.kube.kinds import Kind
from agentd.embedded.kube.objects import Json, Object, metadata
from agentd.embedded.kube.ownership import Scope, updated
from agentd.embedded.kube.rules import rules_of
from agentd.embedded.kube.rules.meta import check_new_metadata
from agentd.embedded.kube.status import internal, invalid
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes.bodies import check_place, read_body
from agentd.embedded.kube.writes.call import Call

_LONGEST_PREFIX = 58
_NAME_ATTEMPTS = 8
_SYSTEM_FIELDS = (
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "uid",
    "creationTimestamp",
    "generation",
)


def create(world: World, call: Call, raw: Json) -> Object:
    """Make the object of a POST, and return it as stored. ApiError when it is not allowed, not valid or there already."""
    item = read_body(call, raw)
    check_place(call, item)
    if metadata(item).get("resourceVersion"):
        raise internal("resourceVersion should not be set on objects to be created")
    scope = Scope(call.kind.type, call.ignored_paths)
    item = updated(scope, nothing(call.kind), item, call.updater, world.now())
    return insert(world, call, item)


def insert(world: World, call: Call, item: Object) -> Object:
    """Store a new object that has been read and is owned already."""
    kind, rules = call.kind, rules_of(call.kind)
    meta = metadata(item)
    for name in _SYSTEM_FIELDS:
        meta.pop(name, None)
    meta["uid"], meta["creationTimestamp"] = world.runtime.new_id(), world.now()
    _name(world, call, item)
    admit(world, call, item, None)
    if kind.counts_generations:
        meta["generation"] = 1
    if kind.status:
        item.pop("status", None)
    rules.prepare_create(world, item)
    show_presence(kind.type, item)
    causes = [*rules.validate(item), *check_new_metadata(kind, item)]
    if causes:
        raise invalid(kind.group, kind.kind, meta.get("name", ""), causes)
    check_admission(world, call, item, None)
    if world.store.get(kind.resource, meta.get("namespace", ""), meta["name"]) is not None:
        raise call.already_exists(meta["name"])
    if call.dry_run:
        return item
    return world.store.put(kind.resource, item)


def nothing(kind: Kind) -> Object:
    """What a new object is compared with."""
    return {**blank(kind.type), "apiVersion": kind.api_version, "kind": kind.kind, "metadata": {}}


def _name(world: World, call: Call, item: Object) -> None:
    meta = metadata(item)
    prefix = meta.get("generateName")
    if meta.get("name") or not prefix:
        return
    for _ in range(_NAME_ATTEMPTS):
        meta["name"] = prefix[:_LONGEST_PREFIX] + world.suffix()
        if world.store.get(call.kind.resource, meta.get("namespace", ""), meta["name"]) is None:
            return
