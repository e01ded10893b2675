"""What `agentd dev`, `agentd demo` and the tests run on: the emulated cloud in a child process."""

from agentd.embedded.cloud import EmbeddedCloud, EmbeddedCloudError
from agentd.embedded.faults import Fault, FaultKind

__all__ = ["EmbeddedCloud", "EmbeddedCloudError", "Fault", "FaultKind"]
