"""What requests do to objects: create, update, patch, apply, delete. All of it is atomic: nothing here waits."""

from agentd.embedded.kube.writes.call import Call, DeleteOptions
from agentd.embedded.kube.writes.creating import create
from agentd.embedded.kube.writes.deleting import delete, delete_collection
from agentd.embedded.kube.writes.patching import Patch, PatchType, patch
from agentd.embedded.kube.writes.updating import replace

__all__ = ["Call", "DeleteOptions", "Patch", "PatchType", "create", "delete", "delete_collection", "patch", "replace"]
