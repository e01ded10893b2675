"""Rights in the cluster, as handlers declare them."""

from collections.abc import Iterable

from agentd.core import Permission

APPLY = ("create", "get", "patch")
"""What bringing an object to what is wanted takes."""


def kubernetes(resources: Iterable[str], *verbs: str) -> tuple[Permission, ...]:
    """Verbs on resources, both as RBAC spells them: `deployments.apps`."""
    return tuple(Permission("kubernetes", verb, resource) for resource in resources for verb in verbs)
