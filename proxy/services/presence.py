"""An installation may have no cluster."""

from agentd.platform import ClusterReader
from proxy.errors import Refusal, refused


def present(cluster: ClusterReader | None) -> ClusterReader:
    """The cluster. Raises CallError when the installation has none."""
    if cluster is None:
        raise refused(
            Refusal.NO_CLUSTER,
            "this installation has no cluster: set one in the agent's settings to use this call",
        )
    return cluster
