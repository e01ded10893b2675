"""Real protocol servers for the suites, each in a child process on loopback that ends with the session."""

from tests.servers.fixtures import azurite, fauxqs, kube_assets, ministack, moto, real_kubeconfig
from tests.servers.kube_control_plane import real_kubernetes, run_kubernetes
from tests.servers.processes import (
    AwsServer,
    AzureServer,
    ServerError,
    run_azurite,
    run_fauxqs,
    run_ministack,
    run_moto,
)
from tests.servers.queues import SqsAdmin

__all__ = [
    "AwsServer",
    "AzureServer",
    "ServerError",
    "SqsAdmin",
    "azurite",
    "fauxqs",
    "kube_assets",
    "ministack",
    "moto",
    "real_kubeconfig",
    "real_kubernetes",
    "run_azurite",
    "run_fauxqs",
    "run_kubernetes",
    "run_ministack",
    "run_moto",
]
