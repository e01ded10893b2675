"""The mark of a repository that its subject's delete has left behind. Pure."""

from collections.abc import Mapping

from agentd.core import Fence
from agentd.platform.aws import tags

RETAINED = "conveyor.internal/retained"


def first_tags(fence: Fence) -> dict[str, str]:
    """All tags of a new repository."""
    return {**tags.ownership(fence), RETAINED: "false"}


def retained_tags(fence: Fence, *, retained: bool) -> dict[str, str]:
    """What is written when a delete leaves the repository behind, or a create takes it up again."""
    return {**tags.content_stamp(fence), RETAINED: "true" if retained else "false"}


def is_retained(found: Mapping[str, str]) -> bool:
    """Whether a repository's tags carry the mark."""
    return found.get(RETAINED) == "true"
