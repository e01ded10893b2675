"""Replicas and the annotations that go with them, in one write."""

from collections.abc import Mapping
from copy import deepcopy

from agentd.core import Fence, Reason, TransientError
from agentd.platform.cluster import Manifest
from agentd.platform.kubernetes import marks
from agentd.platform.kubernetes.apply import TRIES, busy
from agentd.platform.kubernetes.errors import Failure
from agentd.platform.kubernetes.objects import UNKNOWN_EFFECT, Object


async def scale(obj: Object, replicas: int, annotations: Mapping[str, str | None], fence: Fence) -> bool:
    """See Cluster.scale."""
    lost: Failure | None = None
    for _ in range(TRIES):
        live = await obj.get()
        if live is None:
            raise TransientError(Reason.UNAVAILABLE, f"{obj.ref} is not there")
        marks.check_own(live, obj.ref, fence)
        marks.check_standing(live, obj.ref)
        is_right = is_scaled(live, replicas, annotations)
        if is_right and marks.is_stamped(live, fence):
            return lost is not None
        if lost is not None:
            raise lost.error()
        answer = await (obj.stamp(live, fence) if is_right else obj.scale(live, replicas, annotations, fence))
        if not isinstance(answer, Failure):
            return not is_right
        if answer.code is UNKNOWN_EFFECT:
            lost = answer
    raise busy(obj.ref)


def is_scaled(live: Manifest, replicas: int, annotations: Mapping[str, str | None]) -> bool:
    """Whether the object has as many replicas, and these annotations."""
    found = live["metadata"].get("annotations") or {}
    return bool(live["spec"].get("replicas") == replicas) and all(
        found.get(key) == value for key, value in annotations.items()
    )


def scaled(live: Manifest, replicas: int, annotations: Mapping[str, str | None]) -> Manifest:
    """The object as a scale leaves it."""
    made = deepcopy(live)
    found = {**(made["metadata"].get("annotations") or {}), **annotations}
    made["metadata"]["annotations"] = {key: value for key, value in found.items() if value is not None}
    made["spec"]["replicas"] = replicas
    return made
