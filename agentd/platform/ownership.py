"""Whose an object of the cloud is, for ports whose adapters keep that in tags. Pure."""

from collections.abc import Mapping
from typing import Protocol

from agentd.core import Fence, LeaseLost, PermanentError, Reason
from agentd.platform import keys


class Owned(Protocol):
    """An object with the agent's own marks; they are None on one that is not its own."""

    @property
    def owner_id(self) -> str | None:
        """Of the agent that made it."""
        ...

    @property
    def subject(self) -> str | None:
        """What it belongs to."""
        ...

    @property
    def generation(self) -> int | None:
        """The newest that has claimed it."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """All that it carries."""
        ...


def check_own(obj: str, found: Owned, fence: Fence) -> None:
    """Return when the fence's holder may write to the object.

    PermanentError(foreign_object) when it is somebody else's or of another subject (I11), LeaseLost when a newer generation
    has claimed it (I4).
    """
    check_owner(obj, found, fence.owner_id)
    if found.subject != str(fence.subject):
        raise _foreign(obj, found)
    if found.generation is not None and found.generation > fence.generation:
        raise LeaseLost(f"{obj} carries generation {found.generation}; this is {fence.generation}")


def check_owner(obj: str, found: Owned, owner_id: str) -> None:
    """The same for an object that other subjects may write to: PermanentError(foreign_object) unless it is the agent's."""
    if found.owner_id != owner_id:
        raise _foreign(obj, found)


def _foreign(obj: str, found: Owned) -> PermanentError:
    manager = found.tags.get(keys.MANAGED_BY, "nobody known")
    owner, subject = found.tags.get(keys.OWNER_ID), found.tags.get(keys.SUBJECT)
    return PermanentError(
        Reason.FOREIGN_OBJECT,
        f"{obj} belongs to {manager} (owner id {owner or 'none'}, subject {subject or 'none'}); it was left untouched",
    )
