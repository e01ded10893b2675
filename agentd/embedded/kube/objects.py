"""Objects as the API carries them: plain JSON. What is stored is never changed in place; every writer works on a copy."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Json = Any
"""Any JSON value: what a manifest's fields hold is known to its schema alone."""
Object = dict[str, Json]
"""A Kubernetes object, with apiVersion, kind and metadata."""
ObjectView = Mapping[str, Json]
"""The same, to be read only."""


def clone(value: Json) -> Json:
    """A copy that shares nothing which can be changed."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def child(value: ObjectView, *path: str) -> Json:
    """What is at the path, or an empty mapping where anything on the way is absent."""
    here: Json = value
    for name in path:
        here = here.get(name) if isinstance(here, Mapping) else None
    return {} if here is None else here


def dig(value: ObjectView, *path: str) -> Json:
    """What is at the path, or None."""
    here: Json = value
    for name in path:
        if not isinstance(here, Mapping):
            return None
        here = here.get(name)
    return here


def metadata(value: Object) -> Object:
    """The object's metadata, made where it is absent."""
    found: Object = value.setdefault("metadata", {})
    return found


def name_of(value: ObjectView) -> str:
    """metadata.name, or nothing."""
    return str(dig(value, "metadata", "name") or "")


def namespace_of(value: ObjectView) -> str:
    """metadata.namespace, or nothing."""
    return str(dig(value, "metadata", "namespace") or "")


def uid_of(value: ObjectView) -> str:
    """metadata.uid, or nothing."""
    return str(dig(value, "metadata", "uid") or "")


def labels_of(value: ObjectView) -> Mapping[str, str]:
    """metadata.labels."""
    found: Mapping[str, str] = child(value, "metadata", "labels")
    return found


def annotations_of(value: ObjectView) -> Mapping[str, str]:
    """metadata.annotations."""
    found: Mapping[str, str] = child(value, "metadata", "annotations")
    return found


def is_terminating(value: ObjectView) -> bool:
    """Whether somebody has asked for its deletion."""
    return dig(value, "metadata", "deletionTimestamp") is not None


def controller_of(value: ObjectView) -> ObjectView | None:
    """The owner reference that controls it."""
    for reference in child(value, "metadata", "ownerReferences") or ():
        if reference.get("controller"):
            found: ObjectView = reference
            return found
    return None


def timestamp(seconds: float) -> str:
    """RFC 3339 in whole seconds, as metav1.Time."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(seconds: float) -> str:
    """RFC 3339 with microseconds, as metav1.MicroTime."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
