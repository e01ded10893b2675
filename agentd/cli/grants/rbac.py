"""Roles of Kubernetes and their bindings. Source: the API reference of rbac.authorization.k8s.io/v1. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import yaml

from agentd.core import Permission

Manifest = dict[str, Any]
Rule = dict[str, list[str]]

_GROUP = "rbac.authorization.k8s.io"
_LABELS = {"app.kubernetes.io/name": "agentd", "app.kubernetes.io/part-of": "conveyor"}


def grants(permissions: Iterable[Permission], *, name: str, account: str, namespace: str) -> list[Manifest]:
    """Roles with exactly these rights, and what gives them to a service account.

    What is needed in one namespace alone is in a Role there, unless the ClusterRole has it already.
    """
    in_cluster = {permission for permission in permissions if permission.service == "kubernetes"}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    everywhere = everywhere_of(in_cluster)
    made = _role_and_binding("Cluster", everywhere, {"name": name}, subject) if everywhere else []
    for place, inside in sorted(inside_of(in_cluster).items()):
        made += _role_and_binding("", inside, {"name": name, "namespace": place}, subject)
    return made


def yaml_text(documents: Iterable[Manifest]) -> str:
    """A stream of YAML documents, as kubectl takes it."""
    return yaml.safe_dump_all(documents, sort_keys=False)


def everywhere_of(permissions: Iterable[Permission]) -> list[Permission]:
    """Those that are needed in every namespace, or on what is in none."""
    return sorted({permission for permission in permissions if not permission.namespace})


def inside_of(permissions: Iterable[Permission]) -> dict[str, list[Permission]]:
    """Those that are needed in one namespace alone, by namespace; without what is needed everywhere as well."""
    given = set(permissions)
    covered = {(permission.action, permission.resource) for permission in everywhere_of(given)}
    found: defaultdict[str, list[Permission]] = defaultdict(list)
    for permission in sorted(given):
        if permission.namespace and (permission.action, permission.resource) not in covered:
            found[permission.namespace].append(permission)
    return dict(found)


def rules(permissions: Iterable[Permission]) -> list[Rule]:
    """As few rules as grant exactly these rights: one for all resources of a group that have the same verbs."""
    verbs: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for permission in permissions:
        verbs[api_resource(permission.resource)].add(permission.action)
    resources: defaultdict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource), allowed in sorted(verbs.items()):
        resources[group, tuple(sorted(allowed))].append(resource)
    return [
        {"apiGroups": [group], "resources": named, "verbs": list(allowed)}
        for (group, allowed), named in sorted(resources.items())
    ]


def api_resource(resource: str) -> tuple[str, str]:
    """API group and resource as a rule has them: `deployments.apps/scale` is `deployments/scale` of `apps`."""
    whole, slash, subresource = resource.partition("/")
    plural, _, group = whole.partition(".")
    return group, f"{plural}{slash}{subresource}"


def _role_and_binding(
    scope: str, permissions: Iterable[Permission], metadata: dict[str, str], subject: dict[str, str]
) -> list[Manifest]:
    labelled = {**metadata, "labels": dict(_LABELS)}
    common = {"apiVersion": f"{_GROUP}/v1"}
    reference = {"apiGroup": _GROUP, "kind": f"{scope}Role", "name": metadata["name"]}
    return [
        {**common, "kind": f"{scope}Role", "metadata": labelled, "rules": rules(permissions)},
        {
            **common,
            "kind": f"{scope}RoleBinding",
            "metadata": labelled,
            "roleRef": reference,
            "subjects": [dict(subject)],
        },
    ]
