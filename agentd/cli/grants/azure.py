"""A role of Azure's own RBAC for the agent's identity. Source: Azure's reference of permissions for storage. Pure."""

from collections.abc import Iterable
from typing import Any

from agentd.core import Permission

_OF_DATA = ("/messages/", "/entities/")


def role_definition(permissions: Iterable[Permission], *, name: str, scope: str) -> dict[str, Any]:
    """What `az role definition create` takes: exactly these rights. `scope` is where the role may be assigned.

    A role says what may be done and its assignment where: assign it on the queues and on the table.
    """
    actions = sorted({permission.action for permission in permissions if permission.service == "azure"})
    return {
        "Name": name,
        "IsCustom": True,
        "Description": "What agentd does on its queues and in its table, and nothing else.",
        "Actions": [action for action in actions if not _is_of_data(action)],
        "NotActions": [],
        "DataActions": [action for action in actions if _is_of_data(action)],
        "NotDataActions": [],
        "AssignableScopes": [scope],
    }


def _is_of_data(action: str) -> bool:
    """Whether it is about what is in a queue or a table, rather than about the queue or the table."""
    return any(part in action for part in _OF_DATA)
