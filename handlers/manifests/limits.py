"""What an environment may use of the cluster."""

from agentd.platform import Manifest
from handlers.manifests.environment import Environment
from handlers.manifests.kinds import LIMIT_RANGE, RESOURCE_QUOTA
from handlers.manifests.quantities import smaller

NAME = "environment"

# What a container is taken to need that does not say so: what a small task in Python takes.
_DEFAULT_CPU = "100m"
_DEFAULT_MEMORY = "256Mi"
# More than any environment that works as meant has, and less than what slows the API server down.
_SERVICES = "200"


def resource_quota(environment: Environment) -> Manifest:
    """The environment's share. Nothing in it is put in front of the cluster: no load balancers, no ports of nodes."""
    quotas = environment.spec.quotas
    hard = {
        "requests.cpu": quotas.cpu,
        "requests.memory": quotas.memory,
        "requests.storage": quotas.storage,
        "pods": str(quotas.pods),
        "persistentvolumeclaims": str(quotas.pods),
        "services": _SERVICES,
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    return environment.object(RESOURCE_QUOTA, NAME, spec={"hard": hard})


def limit_range(environment: Environment) -> Manifest:
    """Requests for containers without any: the quota would refuse them.

    No default limits: one below what a container asks for would refuse the container.
    """
    quotas = environment.spec.quotas
    default = {"cpu": smaller(_DEFAULT_CPU, quotas.cpu), "memory": smaller(_DEFAULT_MEMORY, quotas.memory)}
    return environment.object(LIMIT_RANGE, NAME, spec={"limits": [{"type": "Container", "defaultRequest": default}]})
