"""What an object holds, without what the server and the agent keep about it. Pure."""

from collections.abc import Mapping
from typing import Any

from agentd.platform.cluster import Manifest
from agentd.platform.kubernetes.marks import STAMPS

# They follow from the rest, or change with every write.
_KEPT_BY_SERVER = ("managedFields", "resourceVersion", "generation")
_ADDRESSES = ("clusterIP", "clusterIPs", "healthCheckNodePort")
# They name the object, or say what became of it.
_NOT_SAID = frozenset(
    {"name", "namespace", "uid", "selfLink", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"}
)


def same_content(one: Manifest, other: Manifest) -> bool:
    """Whether two states of an object differ in nothing but stamps and the server's own bookkeeping."""
    return _content(one) == _content(other)


def said(manifest: Manifest | None) -> Manifest:
    """What somebody has said of an object: its content without its name, and without what the server tells of it."""
    if manifest is None:
        return {}
    content = _content(manifest)
    metadata = {key: value for key, value in content["metadata"].items() if key not in _NOT_SAID}
    rest = {key: value for key, value in content.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    return {"metadata": metadata, **rest}


def as_promised(made: Manifest, wanted: Manifest) -> Manifest:
    """A new object as a dry run shows it, without what the server makes up again each time it is asked.

    That are copies of the uid, which a Job's labels hold, and a Service's addresses and ports unless the manifest names them.
    """
    uid = made["metadata"].get("uid")
    promised: Manifest = _without(made, uid)
    promised["metadata"]["uid"] = uid
    if (made["apiVersion"], made["kind"]) == ("v1", "Service"):
        _forget_addresses(promised["spec"], wanted.get("spec") or {})
    return promised


def _without(value: Any, gone: str | None) -> Any:  # noqa: ANN401 - any part of an object
    if isinstance(value, dict):
        return {key: _without(item, gone) for key, item in value.items() if item != gone}
    return [_without(item, gone) for item in value] if isinstance(value, list) else value


def _forget_addresses(spec: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    for field in _ADDRESSES:
        if field not in wanted:
            spec.pop(field, None)
    for port, given in zip(spec.get("ports") or (), wanted.get("ports") or (), strict=True):
        if "nodePort" not in given:
            port.pop("nodePort", None)


def _content(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _KEPT_BY_SERVER}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key not in STAMPS}
    return {**manifest, "metadata": {**metadata, "labels": labels}}
