"""What the agent writes on its objects, and reads back: whose they are, and how new. Pure.

All of it is labels, so that every object can be found by them; event ids and uuids are valid values.
"""

from collections.abc import Mapping
from copy import deepcopy

from agentd.core import Fence, LeaseLost, NotReady, PermanentError, Reason
from agentd.platform.cluster import FIELD_MANAGER, Manifest, ObjectRef
from agentd.platform.keys import EVENT_ID, GENERATION, MANAGED_BY, OWNER_ID, PART_OF, PREFIX, TRACE_ID
from agentd.telemetry.tracing import current_traceparent, trace_id

PRODUCT = "conveyor"

STAMPS = frozenset({GENERATION, EVENT_ID, TRACE_ID})
"""What a write leaves on an object beside its content."""


def owned_by(fence: Fence) -> dict[str, str]:
    """The labels that all objects of a subject have, and no others."""
    return {MANAGED_BY: FIELD_MANAGER, OWNER_ID: fence.owner_id, _subject_key(fence): fence.subject.uuid}


def content_stamp(fence: Fence) -> dict[str, str]:
    """Generation, event and trace of a change of the content."""
    stamp = {GENERATION: str(fence.generation), EVENT_ID: fence.event_id}
    trace = trace_id(current_traceparent())
    return {**stamp, TRACE_ID: trace} if trace else stamp


def stamp(fence: Fence) -> dict[str, str]:
    """The newest generation that has claimed the object."""
    return {GENERATION: str(fence.generation)}


def marked(manifest: Manifest, fence: Fence) -> Manifest:
    """The manifest with all labels; the one that was given stays as it is."""
    made = deepcopy(manifest)
    labels = made["metadata"].get("labels") or {}
    made["metadata"]["labels"] = {**labels, **owned_by(fence), PART_OF: PRODUCT, **content_stamp(fence)}
    return made


def is_stamped(live: Manifest, fence: Fence) -> bool:
    """Whether the object carries the fence's generation."""
    return _labels(live).get(GENERATION) == str(fence.generation)


def is_written_by(live: Manifest, fence: Fence) -> bool:
    """Whether the fence's own event has written the content."""
    return is_stamped(live, fence) and _labels(live).get(EVENT_ID) == fence.event_id


def is_terminating(live: Manifest) -> bool:
    """Whether the object has been deleted, and waits for somebody."""
    return "deletionTimestamp" in live["metadata"]


def check_own(live: Manifest, ref: ObjectRef, fence: Fence) -> None:
    """Return when the fence's holder may write to the object.

    PermanentError(foreign_object) when it is somebody else's (I11), LeaseLost when a newer generation has claimed it (I4).
    """
    labels = _labels(live)
    if any(labels.get(key) != value for key, value in owned_by(fence).items()):
        raise PermanentError(
            Reason.FOREIGN_OBJECT, f"{ref} belongs to {_describe_owner(labels, fence)}; it was left untouched"
        )
    generation = labels.get(GENERATION, "")
    if generation.isdecimal() and int(generation) > fence.generation:
        raise LeaseLost(f"{ref} carries generation {generation}; this is {fence.generation}")


def check_standing(live: Manifest, ref: ObjectRef) -> None:
    """Return unless the object is on its way out; NotReady says what it waits for."""
    if is_terminating(live):
        finalizers = ", ".join(live["metadata"].get("finalizers") or ()) or "its end"
        raise NotReady(f"{ref} is still being deleted; it waits for {finalizers}")


def _labels(live: Manifest) -> Mapping[str, str]:
    return live["metadata"].get("labels") or {}


def _subject_key(fence: Fence) -> str:
    return f"{PREFIX}/{fence.subject.kind}-id"


def _describe_owner(labels: Mapping[str, str], fence: Fence) -> str:
    manager = labels.get(MANAGED_BY, "nobody known")
    key = _subject_key(fence)
    return f"{manager} (owner id {labels.get(OWNER_ID, 'none')}, {key.removeprefix(PREFIX + '/')} {labels.get(key, 'none')})"
