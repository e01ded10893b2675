"""What the agent writes on an object of AWS, and reads back: whose it is, and how new. Pure.

Keys and values keep to the strictest rules for tags, those of ECR and IAM: letters, digits, spaces and + - = . _ : / @, at
most 128 and 256 long.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from agentd.core import Fence
from agentd.platform import keys
from agentd.telemetry.tracing import current_traceparent, trace_id

MANAGED_BY = keys.MANAGED_BY
OWNER_ID = keys.OWNER_ID
SUBJECT = keys.SUBJECT
GENERATION = keys.GENERATION
EVENT_ID = keys.EVENT_ID
TRACE_ID = keys.TRACE_ID

AGENT = "conveyor-agent"


@dataclass(frozen=True, slots=True)
class Marks:
    """The agent's own marks on an object that is its own."""

    owner_id: str
    subject: str | None
    generation: int | None

    @classmethod
    def read(cls, tags: Mapping[str, str], owner_id: str) -> Self | None:
        """The marks among an object's tags; None unless they carry this owner id."""
        if tags.get(MANAGED_BY) != AGENT or tags.get(OWNER_ID) != owner_id:
            return None
        generation = tags.get(GENERATION, "")
        return cls(
            owner_id=owner_id,
            subject=tags.get(SUBJECT),
            generation=int(generation) if generation.isdecimal() else None,
        )


def ownership(fence: Fence) -> dict[str, str]:
    """The tags that make a new object the agent's own."""
    return {MANAGED_BY: AGENT, OWNER_ID: fence.owner_id, SUBJECT: str(fence.subject), **content_stamp(fence)}


def stamp(fence: Fence) -> dict[str, str]:
    """The newest generation that has claimed the object."""
    return {GENERATION: str(fence.generation)}


def content_stamp(fence: Fence) -> dict[str, str]:
    """The same, the event that changes its content, and its trace; empty when it has none, so that an older one's goes."""
    return {**stamp(fence), EVENT_ID: fence.event_id, TRACE_ID: trace_id(current_traceparent()) or ""}


def missing(wanted: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """Those of the wanted tags that differ."""
    return {key: value for key, value in wanted.items() if found.get(key) != value}
