"""Whose a role is, in its comment: one that cannot be read is nobody's. A database is its owner's."""

import json

from agentd.core import Fence
from agentd.platform import keys
from agentd.platform.cluster import FIELD_MANAGER
from agentd.platform.databases import RoleState


def comment(fence: Fence) -> str:
    """What a role says that the fence's holder has written to."""
    marks = {
        keys.MANAGED_BY: FIELD_MANAGER,
        keys.OWNER_ID: fence.owner_id,
        keys.SUBJECT: str(fence.subject),
        keys.GENERATION: str(fence.generation),
        keys.EVENT_ID: fence.event_id,
    }
    return json.dumps(marks, sort_keys=True)


def read(name: str, text: str | None) -> RoleState:
    """A role with this comment."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = {}
    tags = {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
    generation = tags.get(keys.GENERATION, "")
    return RoleState(
        name=name,
        owner_id=tags.get(keys.OWNER_ID),
        subject=tags.get(keys.SUBJECT),
        generation=int(generation) if generation.isdecimal() else None,
        tags=tags,
    )
