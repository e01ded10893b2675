"""Real protocol servers for the suites, each in a child process on loopback that ends with the session."""

from tests.servers.fixtures import fauxqs, ministack, moto
from tests.servers.processes import AwsServer, ServerError, run_fauxqs, run_ministack, run_moto
from tests.servers.queues import SqsAdmin

__all__ = [
    "AwsServer",
    "ServerError",
    "SqsAdmin",
    "fauxqs",
    "ministack",
    "moto",
    "run_fauxqs",
    "run_ministack",
    "run_moto",
]
