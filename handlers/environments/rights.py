"""What the agent's identity must be allowed, for environments."""

from collections.abc import Iterable, Iterator

from agentd.core import Permission
from handlers import repositories
from handlers.manifests.access import RULES
from handlers.rights import APPLY, kubernetes

_PRUNE = ("delete", "list")

# Resources as RBAC spells them.
_INSIDE = (
    "configmaps",
    "leases.coordination.k8s.io",
    "limitranges",
    "networkpolicies.networking.k8s.io",
    "resourcequotas",
    "rolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "serviceaccounts",
)
_AIRFLOW = (
    "deployments.apps",
    "jobs.batch",
    "poddisruptionbudgets.policy",
    "services",
    "statefulsets.apps",
)
# What they hold is nowhere else: they go with the namespace alone.
_KEPT = ("persistentvolumeclaims", "secrets")
_AWAITED = ("deployments.apps", "jobs.batch", "pods", "statefulsets.apps")

_IDENTITY = "arn:aws:iam::*:role{identities.path}{identities.role_prefix}*"
# Of roles that events name, wherever they are: who may become them. Without it that is not checked.
_READS_TRUST = (Permission("aws", "iam:GetRole", "arn:aws:iam::*:role/*"),)
_MAKES_IDENTITY = (
    "iam:AttachRolePolicy",
    "iam:CreateRole",
    "iam:DetachRolePolicy",
    "iam:GetRole",
    "iam:ListAttachedRolePolicies",
    "iam:PutRolePermissionsBoundary",
    "iam:TagRole",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole",
)
_REMOVES_IDENTITY = (
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:GetRole",
    "iam:ListAttachedRolePolicies",
    "iam:ListInstanceProfilesForRole",
    "iam:ListRolePolicies",
)


def reconcile() -> tuple[Permission, ...]:
    """What bringing an environment to its spec and its power needs."""
    return _once(
        kubernetes(("namespaces",), *APPLY),
        kubernetes(_INSIDE, *APPLY, *_PRUNE),
        kubernetes(_AIRFLOW, *APPLY, *_PRUNE),
        kubernetes(_KEPT, *APPLY),
        kubernetes(_AWAITED, "list", "watch"),
        kubernetes(("events",), "list"),
        granted(),
        _identities(_MAKES_IDENTITY),
        _identities(_REMOVES_IDENTITY),
        _READS_TRUST,
    )


def deploy() -> tuple[Permission, ...]:
    """What a deploy needs beside that."""
    return _once(reconcile(), repositories.mark_permissions("project"))


def unlock() -> tuple[Permission, ...]:
    """What breaking a lock needs."""
    return _once(
        kubernetes(("namespaces",), "get"),
        kubernetes(("leases.coordination.k8s.io",), *APPLY, "delete"),
    )


def remove() -> tuple[Permission, ...]:
    """What deleting an environment needs."""
    return _once(
        kubernetes(("namespaces",), "delete", "get", "list", "watch"),
        kubernetes(("configmaps", "serviceaccounts"), "list"),
        kubernetes(("leases.coordination.k8s.io", "secrets"), "get"),
        kubernetes(("pods",), "list", "watch"),
        _identities(_REMOVES_IDENTITY),
        repositories.mark_permissions("project"),
    )


def granted() -> Iterator[Permission]:
    """What Airflow's roles grant: the API server lets nobody grant what he does not have. Source: RBAC's documentation."""
    for rule in (rule for rules in RULES.values() for rule in rules):
        yield from kubernetes(rule["resources"], *rule["verbs"])


def _identities(actions: Iterable[str]) -> Iterator[Permission]:
    return (Permission("aws", action, _IDENTITY) for action in actions)


def _once(*parts: Iterable[Permission]) -> tuple[Permission, ...]:
    return tuple(sorted({permission for part in parts for permission in part}))
