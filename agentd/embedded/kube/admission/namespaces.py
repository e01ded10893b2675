"""Objects come into namespaces that are there, and not on their way out."""

from agentd.embedded.kube.kinds import NAMESPACES, Kind
from agentd.embedded.kube.objects import Object, dig, is_terminating, name_of
from agentd.embedded.kube.status import Cause, forbidden, not_found
from agentd.embedded.kube.world import World


def check_namespace(world: World, kind: Kind, namespace: str, item: Object) -> None:
    """ApiError 404 when the object's namespace is not there, 403 when it is terminating."""
    if not kind.namespaced:
        return
    found = world.store.get(NAMESPACES, "", namespace)
    if found is None:
        raise not_found("", "namespaces", namespace)
    if is_terminating(found) or dig(found, "status", "phase") == "Terminating":
        cause = Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        raise forbidden(kind.group, kind.plural, name_of(item), why, [cause])
