"""Whether pods may mount images as volumes.

An API server without that feature drops the field of such a volume, even under strict validation, and knows the field all the
same: only an answer to a pod tells. Source: feature gate ImageVolume, on by default from Kubernetes 1.35 on.
"""

from dataclasses import dataclass

from agentd.core import NotReady, Runtime
from agentd.platform.cluster import FIELD_MANAGER
from agentd.platform.kubernetes.calls import Calls, Json, Request
from agentd.platform.kubernetes.errors import CallCode, Failure

# Clusters are upgraded under agents that run: replicas that were started before and after should soon agree.
_GOOD_FOR_S = 600.0

_NAME = "conveyor-image-volumes"
# It is never there, and has to be admitted under the restricted Pod Security Standard.
_POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": _NAME},
    "spec": {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "probe",
                "image": "probe",
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
        "volumes": [{"name": "probe", "image": {"reference": "probe"}}],
    },
}


@dataclass(slots=True)
class ImageVolumes:
    """Asks in the agent's own namespace: an environment's may not be there yet, or have no room left."""

    calls: Calls
    namespace: str
    runtime: Runtime
    _found: bool = False
    _good_until: float = 0.0

    async def mounted(self) -> bool:
        """See Cluster.mounts_images."""
        if self.runtime.monotonic() >= self._good_until:
            self._found = await self._ask()
            self._good_until = self.runtime.monotonic() + _GOOD_FOR_S
        return self._found

    async def _ask(self) -> bool:
        request = Request(
            operation="plan",
            obj=f"kubernetes:{self.namespace}/pod/{_NAME}",
            method="POST",
            path=f"/api/v1/namespaces/{self.namespace}/pods",
            query=(("fieldManager", FIELD_MANAGER), ("dryRun", "All")),
            body=_POD,
        )
        answer = await self.calls.read_unless(request, (CallCode.NOT_FOUND,))
        if isinstance(answer, Failure):
            raise NotReady(
                f"namespace {self.namespace} is not there, and it cannot be asked whether pods may mount images"
            )
        return any("image" in volume for volume in answer["spec"].get("volumes") or ())
