"""PATCH: JSON patch, merge patch, strategic merge patch, and server-side apply."""

import json
from dataclasses import dataclass
from enum import StrEnum

import jsonpatch

from agentd.embedded.kube.objects import Json, Object, clone, dig, metadata
from agentd.embedded.kube.ownership import Scope, applied
from agentd.embedded.kube.patches import BadPatch, merge_patched, strategic_patched
from agentd.embedded.kube.status import ApiError, Details, bad_request, conflict, invalid, required
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes.bodies import check_name, check_place, read_merged, read_patched
from agentd.embedded.kube.writes.call import Call
from agentd.embedded.kube.writes.creating import insert, nothing
from agentd.embedded.kube.writes.updating import settle, update

_UNPROCESSABLE = 422
_UNSUPPORTED_MEDIA_TYPE = 415


class PatchType(StrEnum):
    """By content type."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch as it came."""

    type: PatchType
    body: bytes

    def read(self) -> Json:
        """The document. ApiError 400."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            if self.type is PatchType.APPLY:
                raise bad_request(f"error decoding YAML: this server reads JSON alone: {error}") from error
            raise bad_request(f"error decoding patch: {error}") from error


def patch(world: World, call: Call, asked: Patch) -> tuple[Object, bool]:
    """Carry the patch out: the object as stored, and whether it is new."""
    live = world.store.get(call.kind.resource, call.namespace, call.name)
    document = asked.read()
    if asked.type is PatchType.APPLY:
        return _apply(world, call, live, document)
    if live is None:
        raise call.not_found()
    new = read_patched(call, _patched(call, asked.type, clone(live), document))
    check_name(call, new)
    check_place(call, new)
    return update(world, call, live, new), False


def _patched(call: Call, kind: PatchType, live: Object, document: Json) -> Json:
    try:
        if kind is PatchType.JSON:
            return json_patched(live, document)
        if not isinstance(document, dict):
            raise bad_request(
                "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
            )
        if kind is PatchType.MERGE:
            return merge_patched(live, document)
        if call.kind.custom:
            raise unsupported_media_type(PatchType.JSON, PatchType.MERGE, PatchType.APPLY)
        return strategic_patched(call.kind.type, live, document)
    except BadPatch as error:
        raise bad_request(str(error)) from error


def json_patched(live: Object, document: Json) -> Json:
    """RFC 6902. ApiError 400 for what is no patch, 422 for one that does not fit."""
    if not isinstance(document, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        )
    try:
        return jsonpatch.apply_patch(live, document)
    except (jsonpatch.InvalidJsonPatch, TypeError, AttributeError) as error:
        raise bad_request(f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        message = "the server rejected our request due to an error in our request"
        raise ApiError(_UNPROCESSABLE, "Invalid", message, Details()) from error


def _apply(world: World, call: Call, live: Object | None, config: Json) -> tuple[Object, bool]:
    if not isinstance(config, dict):
        raise bad_request("error decoding YAML: the body is not an object")
    _check_versions(call, config)
    if not isinstance(config.get("metadata") or {}, dict):
        raise bad_request("error decoding YAML: metadata is not an object")
    placed = {**config, "metadata": dict(config.get("metadata") or {})}
    check_name(call, placed)
    check_place(call, placed)
    scope = Scope(call.kind.type, call.ignored_paths)
    base = live or nothing(call.kind)
    if live is None and dig(config, "metadata", "uid"):
        why = f"uid mismatch: the provided object specified uid {config['metadata']['uid']}, and no existing object was found"
        raise conflict(call.kind.group, call.kind.plural, call.name, why)
    if live is None and call.subresource:
        raise call.not_found()
    merged = applied(scope, base, config, call.applier, world.now(), force=call.force)
    new = read_merged(call.kind, merged)
    check_name(call, new)
    check_place(call, new)
    if live is not None:
        return settle(world, call, live, new), False
    metadata(new).pop("resourceVersion", None)
    return insert(world, call, new), True


def _check_versions(call: Call, config: Object) -> None:
    if config.get("apiVersion") == call.kind.api_version and config.get("kind") == call.kind.kind:
        return
    group, _, version = str(config.get("apiVersion") or "").rpartition("/")
    raise bad_request(f"invalid object type: {group}/{version}, Kind={config.get('kind') or ''}")


def check_apply_options(field_manager: str) -> None:
    """An apply has to say who applies. ApiError 422."""
    if not field_manager:
        causes = [required("fieldManager", "is required for apply patch")]
        raise invalid("meta.k8s.io", "PatchOptions", "", causes)


def unsupported_media_type(*accepted: PatchType) -> ApiError:
    """The object cannot be patched so, but in the ways that are accepted."""
    if not accepted:
        return ApiError(_UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", "415: Unsupported Media Type", Details())
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return ApiError(_UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
