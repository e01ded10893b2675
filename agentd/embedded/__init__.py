"""What `agentd dev`, `agentd demo` and the tests run on: an emulated cloud, an API server and Airflows, in child processes."""

from agentd.embedded.airflow import EmbeddedAirflow
from agentd.embedded.child import EmbeddedServerError
from agentd.embedded.cloud import EmbeddedCloud
from agentd.embedded.faults import Fault, FaultKind
from agentd.embedded.kube.cluster import EmbeddedKubernetes

__all__ = ["EmbeddedAirflow", "EmbeddedCloud", "EmbeddedKubernetes", "EmbeddedServerError", "Fault", "FaultKind"]
