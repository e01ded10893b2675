"""What `agentd dev`, `agentd demo` and the tests run on: an emulated cloud and an API server, each in a child process."""

from agentd.embedded.child import EmbeddedServerError
from agentd.embedded.cloud import EmbeddedCloud
from agentd.embedded.faults import Fault, FaultKind
from agentd.embedded.kube.cluster import EmbeddedKubernetes

__all__ = ["EmbeddedCloud", "EmbeddedKubernetes", "EmbeddedServerError", "Fault", "FaultKind"]
