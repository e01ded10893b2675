"""Typed specs in, Kubernetes objects out. Pure: no clock, no I/O."""

from agentd.platform import Kind, Manifest
from handlers.manifests import kinds
from handlers.manifests.access import roles, service_accounts
from handlers.manifests.environment import Environment
from handlers.manifests.limits import limit_range, resource_quota
from handlers.manifests.lock import lock
from handlers.manifests.namespace import namespace
from handlers.manifests.network import network_policies
from handlers.manifests.settings import settings

INSIDE: tuple[Kind, ...] = (
    kinds.RESOURCE_QUOTA,
    kinds.LIMIT_RANGE,
    kinds.NETWORK_POLICY,
    kinds.SERVICE_ACCOUNT,
    kinds.ROLE,
    kinds.ROLE_BINDING,
    kinds.CONFIG_MAP,
    kinds.LEASE,
)
"""The kinds of what is inside an environment's namespace and follows from its spec."""

PROJECT_KINDS: tuple[Kind, ...] = (kinds.CONFIG_MAP, kinds.SERVICE_ACCOUNT)
"""The kinds of what a deployed project is made of."""

WORKLOADS: tuple[Kind, ...] = (kinds.DEPLOYMENT, kinds.STATEFUL_SET)
"""The kinds of what hibernation stops."""


def inside(environment: Environment) -> list[Manifest]:
    """Everything inside the namespace that follows from the spec, each after what it rests on or is held to."""
    return [
        resource_quota(environment),
        limit_range(environment),
        *network_policies(environment),
        *service_accounts(environment),
        *roles(environment),
        settings(environment),
        lock(environment.name, environment.defaults),
    ]


__all__ = ["INSIDE", "PROJECT_KINDS", "WORKLOADS", "Environment", "inside", "namespace"]
