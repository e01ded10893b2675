"""An API server of Kubernetes in memory, with the controllers and a kubelet that clients wait for."""

from agentd.embedded.kube.cluster import EmbeddedKubernetes
from agentd.embedded.kube.world import Denial

__all__ = ["Denial", "EmbeddedKubernetes"]
