"""From a request's body to an object of the endpoint's kind."""

from agentd.embedded.kube.custom.defaults import fill_custom
from agentd.embedded.kube.decoding import Decoder, WrongType
from agentd.embedded.kube.defaulting import apply_defaults
from agentd.embedded.kube.kinds import Kind
from agentd.embedded.kube.objects import Json, Object, metadata
from agentd.embedded.kube.status import bad_request, invalid, shown_value, wrong
from agentd.embedded.kube.writes.call import Call


def read_body(call: Call, raw: Json) -> Object:
    """The object that a POST or a PUT carries, with defaults. ApiError 400; unknown fields are warned of or refused."""
    kind = call.kind
    prefix = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
    if not isinstance(raw, dict):
        raise bad_request(f"{prefix}: json: cannot unmarshal the body into an object")
    _check_names(kind, raw)
    decoder = Decoder(trusting=kind.custom)
    try:
        item = decoder.read(kind.type, {**raw, "apiVersion": kind.api_version, "kind": kind.kind})
    except WrongType as error:
        raise bad_request(f"{prefix}: {error}") from error
    if decoder.notes and call.field_validation == "Strict":
        raise bad_request(f"{prefix}: strict decoding error: {', '.join(decoder.notes)}")
    return finished(call, item, decoder.notes)


def read_patched(call: Call, raw: Json) -> Object:
    """The object that a patch has made. ApiError 422 that shows it."""
    decoder = Decoder(trusting=call.kind.custom)
    try:
        item = decoder.read(call.kind.type, {**raw, "apiVersion": call.kind.api_version, "kind": call.kind.kind})
    except WrongType as error:
        raise invalid("", "", "", [wrong("patch", shown_value(raw), str(error))]) from error
    if decoder.notes and call.field_validation == "Strict":
        told = f"strict decoding error: {', '.join(decoder.notes)}"
        raise invalid("", "", "", [wrong("patch", shown_value(raw), told)])
    return finished(call, item, decoder.notes)


def read_merged(kind: Kind, raw: Json) -> Object:
    """The object that an apply has made: it is of its type already, but for spelling and nulls."""
    try:
        item = Decoder(trusting=kind.custom).read(kind.type, raw)
    except WrongType as error:
        message = f"unable to convert unstructured object to {kind.api_version}, Kind={kind.kind}: {error}"
        raise bad_request(message) from error
    return with_defaults(kind, item)


def finished(call: Call, item: Object, notes: list[str]) -> Object:
    """The object with its defaults; what was dropped on the way becomes a warning."""
    if call.field_validation == "Warn":
        call.warn(notes)
    return with_defaults(call.kind, item)


def with_defaults(kind: Kind, item: Object) -> Object:
    """The same object, with what the API adds."""
    metadata(item)
    if kind.custom:
        fill_custom(kind.type, item)
    else:
        apply_defaults(kind.type, item)
    return item


def check_place(call: Call, item: Object) -> None:
    """Whether the object says the namespace that the path says; it takes the path's if it says none. ApiError 400."""
    meta = metadata(item)
    if not call.kind.namespaced:
        meta.pop("namespace", None)
    elif meta.get("namespace") in (None, "", call.namespace):
        meta["namespace"] = call.namespace
    else:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def check_name(call: Call, item: Object) -> None:
    """Whether the object says the name that the path says. ApiError 400."""
    name = metadata(item).setdefault("name", call.name)
    if not name:
        raise bad_request("name must be provided")
    if name != call.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")


def _check_names(kind: Kind, raw: Object) -> None:
    version, name = raw.get("apiVersion"), raw.get("kind")
    if version in (None, "", kind.api_version) and name in (None, "", kind.kind):
        return
    if version not in (None, "", kind.api_version) and name in (None, "", kind.kind):
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
        )
    raise bad_request(
        f'{name} in version "{kind.version}" cannot be handled as a {kind.kind}: '
        f'no kind "{name}" is registered for version "{version or kind.api_version}" at this endpoint'
    )
