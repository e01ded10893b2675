"""The scale subresource: how many replicas, for whatever has replicas."""

from agentd.embedded.kube.decoding import Decoder, WrongType
from agentd.embedded.kube.objects import Json, Object, child, clone, dig
from agentd.embedded.kube.patches import merge_patched
from agentd.embedded.kube.schema import definitions
from agentd.embedded.kube.selectors import spelled
from agentd.embedded.kube.status import ApiError, Cause, Details, bad_request, conflict, invalid, wrong
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes import Call, Patch, PatchType
from agentd.embedded.kube.writes.patching import json_patched, unsupported_media_type
from agentd.embedded.kube.writes.updating import update

_INTERNAL = 500
_STALE = "the object has been modified; please apply your changes to the latest version and try again"


def scale_of(call: Call, item: Object, *, strictly: bool = True) -> Object:
    """The Scale of an object. ApiError 500 for a custom resource that does not say how many there should be."""
    wanted, actual, selector = (path.lstrip(".").split(".") for path in call.kind.scale_paths)
    if strictly and call.kind.custom and dig(item, *wanted) is None:
        raise _no_replicas(call.kind.scale_paths[0])
    meta = item["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    told: Object = {"replicas": dig(item, *actual) or 0}
    text = dig(item, *selector) if call.kind.custom else spelled(child(item, "spec", "selector"))
    if text:
        told["selector"] = text
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in kept if name in meta},
        "spec": {"replicas": number} if (number := dig(item, *wanted)) else {},
        "status": told,
    }


def get_scale(world: World, call: Call) -> Object:
    """The Scale as it is. ApiError 404."""
    return scale_of(call, _live(world, call))


def put_scale(world: World, call: Call, raw: Json) -> Object:
    """Set the number of replicas; returns the Scale as it is then. ApiError."""
    live = _live(world, call)
    try:
        scale = Decoder().read(definitions().kind("autoscaling", "v1", "Scale"), raw)
    except WrongType as error:
        raise bad_request(f'Scale in version "v1" cannot be handled as a Scale: {error}') from error
    version = dig(scale, "metadata", "resourceVersion")
    if version and version != live["metadata"]["resourceVersion"]:
        raise conflict(call.kind.group, call.kind.plural, call.name, _STALE)
    replicas = dig(scale, "spec", "replicas") or 0
    if replicas < 0:
        told = wrong("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("autoscaling", "Scale", call.name, [told])
    new: Object = clone(live)
    *path, last = call.kind.scale_paths[0].lstrip(".").split(".")
    here = new
    for name in path:
        here = here.setdefault(name, {})
    here[last] = replicas
    new["metadata"].pop("managedFields", None)
    return scale_of(call, update(world, call, live, new))


def patch_scale(world: World, call: Call, asked: Patch) -> Object:
    """Change the Scale by a patch. ApiError."""
    scale = scale_of(call, _live(world, call), strictly=False)
    scale["spec"].setdefault("replicas", 0)
    if asked.type is PatchType.APPLY:
        raise unsupported_media_type()
    document = asked.read()
    patched = json_patched(scale, document) if asked.type is PatchType.JSON else merge_patched(scale, document)
    return put_scale(world, call, patched)


def _no_replicas(path: str) -> ApiError:
    told = f'the spec replicas field "{path}" does not exist'
    details = Details(causes=[Cause("", told, "")])
    return ApiError(_INTERNAL, "InternalError", f"Internal error occurred: {told}", details)


def _live(world: World, call: Call) -> Object:
    live = world.store.get(call.kind.resource, call.namespace, call.name)
    if live is None:
        raise call.not_found()
    return live
