"""The cluster port on the Kubernetes API. This package alone knows the client library."""

from agentd.platform.kubernetes.cluster import KubernetesCluster
from agentd.platform.kubernetes.connection import Connection
from agentd.platform.kubernetes.opening import choose_access
from agentd.platform.kubernetes.services import ServiceProxyRoute

__all__ = ["Connection", "KubernetesCluster", "ServiceProxyRoute", "choose_access"]
