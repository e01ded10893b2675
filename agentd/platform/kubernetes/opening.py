"""Which access a setting means."""

from agentd.core import PermanentError, Reason, Runtime
from agentd.platform.aws.session import AwsSession
from agentd.platform.config import ClusterConfig
from agentd.platform.kubernetes.access import Access, InClusterAccess, KubeconfigAccess
from agentd.platform.kubernetes.eks import EksAccess
from agentd.telemetry import Metrics


def choose_access(config: ClusterConfig, aws: AwsSession, *, metrics: Metrics, runtime: Runtime) -> Access:
    """The access that the settings ask for; PermanentError where they ask for none."""
    if config.access == "in_cluster":
        return InClusterAccess(runtime)
    if config.access == "kubeconfig":
        return KubeconfigAccess(config.kubeconfig, config.context, runtime)
    if config.access == "eks" and config.eks_cluster is not None:
        return EksAccess(aws, config.eks_cluster, timeout_s=config.call_timeout_s, metrics=metrics, runtime=runtime)
    raise PermanentError(
        Reason.INVALID_REQUEST, f"cluster.access is {config.access!r}: this installation has no cluster"
    )
