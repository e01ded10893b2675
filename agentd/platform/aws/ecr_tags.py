"""What the agent writes on a repository, and reads back: whose it is, and how new. Pure.

Keys and values keep to ECR's rules for tags: letters, digits, spaces and + - = . _ : / @, at most 128 and 256 long.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from agentd.core import Fence

MANAGED_BY = "app.kubernetes.io/managed-by"
OWNER_ID = "conveyor.internal/owner-id"
SUBJECT = "conveyor.internal/subject"
GENERATION = "conveyor.internal/generation"
EVENT_ID = "conveyor.internal/event-id"
RETAINED = "conveyor.internal/retained"

AGENT = "conveyor-agent"


@dataclass(frozen=True, slots=True)
class Marks:
    """The agent's own marks on a repository that is its own."""

    owner_id: str
    subject: str | None
    generation: int | None
    retained: bool

    @classmethod
    def read(cls, tags: Mapping[str, str], owner_id: str) -> Self | None:
        """The marks among a repository's tags; None unless they carry this owner id."""
        if tags.get(MANAGED_BY) != AGENT or tags.get(OWNER_ID) != owner_id:
            return None
        generation = tags.get(GENERATION, "")
        return cls(
            owner_id=owner_id,
            subject=tags.get(SUBJECT),
            generation=int(generation) if generation.isdecimal() else None,
            retained=tags.get(RETAINED) == "true",
        )


def first_tags(fence: Fence) -> dict[str, str]:
    """All tags of a new repository."""
    return {
        MANAGED_BY: AGENT,
        OWNER_ID: fence.owner_id,
        SUBJECT: str(fence.subject),
        **content_stamp(fence),
        RETAINED: "false",
    }


def stamp(fence: Fence) -> dict[str, str]:
    """The newest generation that has claimed the repository."""
    return {GENERATION: str(fence.generation)}


def content_stamp(fence: Fence) -> dict[str, str]:
    """The same, and the event that changes its content."""
    return {**stamp(fence), EVENT_ID: fence.event_id}


def retained_tags(fence: Fence, *, retained: bool) -> dict[str, str]:
    """The mark of a repository that its subject's delete has left behind, or has taken up again."""
    return {**content_stamp(fence), RETAINED: "true" if retained else "false"}


def missing(wanted: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """Those of the wanted tags that differ."""
    return {key: value for key, value in wanted.items() if found.get(key) != value}


def describe_owner(tags: Mapping[str, str]) -> str:
    """Who a repository belongs to, for people."""
    manager = tags.get(MANAGED_BY, "nobody known")
    owner, subject = tags.get(OWNER_ID), tags.get(SUBJECT)
    return f"{manager} (owner id {owner or 'none'}, subject {subject or 'none'})"
