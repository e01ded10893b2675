"""Rights in the cluster, as handlers declare them."""

from collections.abc import Iterable

from agentd.core import Permission

APPLY = ("create", "get", "patch")
"""What bringing an object to what is wanted takes."""


SYSTEM = "{cluster.system_namespace}"
"""The agent's own namespace, as declarations name it."""


def kubernetes(resources: Iterable[str], *verbs: str, namespace: str = "") -> tuple[Permission, ...]:
    """Verbs on resources, both as RBAC spells them: `deployments.apps`. In every namespace, unless one is given."""
    return tuple(Permission("kubernetes", verb, resource, namespace) for resource in resources for verb in verbs)
