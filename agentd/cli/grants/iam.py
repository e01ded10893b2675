"""A policy for the agent's role in AWS. Source: the service authorization reference of IAM. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from agentd.core import Permission
from agentd.settings import Settings

Document = dict[str, Any]

_BOUNDED = frozenset({"iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary"})
"""What can give a role rights: allowed only on roles that have the boundary, or are given it."""
_GRANTS_KEY = "kms:CreateGrant"
_KEY_ALIAS = re.compile(r"^(?:arn:[^:]+:kms:([^:]*):([^:]*):)?(alias/.+)$")
_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))
_REGION = 3
_PARTS = 6

# Of one statement: the resource, and the condition as sorted (operator, key, value).
_Condition = tuple[tuple[str, str, str], ...]
_Scope = tuple[str, _Condition]


class NoArn(Exception):
    """Some of what a right is needed on cannot be told from the settings. One problem a line."""


def policy(permissions: Iterable[Permission], settings: Settings) -> Document:
    """As few statements as allow exactly these rights, on the resources that the settings name. Raises NoArn."""
    actions: defaultdict[_Scope, set[str]] = defaultdict(set)
    for permission in permissions:
        if permission.service == "aws":
            actions[_scope(permission, settings)].add(permission.action)
    _check(actions)
    resources: defaultdict[tuple[tuple[str, ...], _Condition], list[str]] = defaultdict(list)
    for (resource, condition), allowed in sorted(actions.items()):
        resources[tuple(sorted(allowed)), condition].append(resource)
    return {
        "Version": "2012-10-17",
        "Statement": [
            _statement(list(allowed), named, condition) for (allowed, condition), named in sorted(resources.items())
        ],
    }


def _check(scopes: Iterable[_Scope]) -> None:
    unknown = sorted({resource for resource, _ in scopes if resource != "*" and not resource.startswith("arn:")})
    if unknown:
        raise NoArn(
            "\n".join(
                f"{resource}: the settings do not tell its ARN; give the queue's own URL, as SQS names it"
                for resource in unknown
            )
        )


def _statement(actions: list[str], resources: list[str], condition: _Condition) -> Document:
    statement: Document = {"Effect": "Allow", "Action": actions, "Resource": resources}
    if condition:
        statement["Condition"] = {operator: {key: value} for operator, key, value in condition}
    return statement


def _scope(permission: Permission, settings: Settings) -> _Scope:
    resource, condition = permission.resource, _condition(permission.action, settings)
    if permission.action.startswith("kms:"):
        resource, of_key = _key(resource)
        condition = tuple(sorted({*condition, *of_key}))
    return _placed(resource, settings.aws.region), condition


def _condition(action: str, settings: Settings) -> _Condition:
    boundary = settings.identities.permissions_boundary
    if boundary is not None and action in _BOUNDED:
        return (("StringEquals", "iam:PermissionsBoundary", boundary),)
    return (("Bool", "kms:GrantIsForAWSResource", "true"),) if action == _GRANTS_KEY else ()


def _key(name: str) -> _Scope:
    """A key by its ARN, id or alias. Policies cannot name an alias as a resource."""
    if (alias := _KEY_ALIAS.match(name)) is not None:
        region, account = alias[1] or "*", alias[2] or "*"
        return f"arn:aws:kms:{region}:{account}:key/*", (("ForAnyValue:StringEquals", "kms:ResourceAliases", alias[3]),)
    return (name if name.startswith("arn:") else f"arn:aws:kms:*:*:key/{name}"), ()


def _placed(resource: str, region: str | None) -> str:
    """The resource in the region of the settings, where it does not say another one, and in its partition."""
    parts = resource.split(":", _PARTS - 1)
    if region is None or len(parts) != _PARTS or parts[1] != "aws":
        return resource
    parts[1] = next((name for prefix, name in _PARTITIONS if region.startswith(prefix)), "aws")
    if parts[_REGION] == "*":
        parts[_REGION] = region
    return ":".join(parts)
