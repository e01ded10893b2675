"""What an object holds, without what the server and the agent keep about it. Pure."""

from agentd.platform.cluster import Manifest
from agentd.platform.kubernetes.marks import STAMPS

# They follow from the rest, or change with every write.
_KEPT_BY_SERVER = ("managedFields", "resourceVersion", "generation")
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


def _content(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _KEPT_BY_SERVER}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key not in STAMPS}
    return {**manifest, "metadata": {**metadata, "labels": labels}}
