"""What a diagnosis is made of, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass

from agentd.core import Reason
from agentd.platform import Manifest, ObjectRef


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is in the way of an object. `passing`: it may go by itself, so that waiting makes sense."""

    reason: Reason
    obj: ObjectRef
    message: str
    passing: bool

    def __str__(self) -> str:
        """As reports name it."""
        return f"{self.obj}: {self.message}"


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen in a namespace. `workloads` are Deployments, StatefulSets and Jobs; more of anything than is asked about

    does no harm, and what is missing is only not told.
    """

    pods: Sequence[Manifest] = ()
    events: Sequence[Manifest] = ()
    workloads: Sequence[Manifest] = ()
    claims: Sequence[Manifest] = ()

    def events_of(self, obj: Manifest) -> list[Manifest]:
        """What was told of an object, the newest last."""
        uid = obj["metadata"].get("uid")
        found = [event for event in self.events if (event.get("involvedObject") or {}).get("uid") == uid]
        return sorted(found, key=told_at)


def told_at(event: Manifest) -> str:
    """When something was told last. Times of the API compare as text."""
    series = event.get("series") or {}
    moment: str | None = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return moment or ""
