"""Deleting, and waiting until what was deleted is gone."""

import asyncio
from collections.abc import Collection, Iterable
from contextlib import aclosing

from agentd.core import Fence, NotReady
from agentd.platform.cluster import ChangeKind, Kind, Manifest, ObjectRef
from agentd.platform.kubernetes import marks
from agentd.platform.kubernetes.apply import TRIES, busy
from agentd.platform.kubernetes.blockers import Blockers
from agentd.platform.kubernetes.errors import CallCode, Failure
from agentd.platform.kubernetes.objects import UNKNOWN_EFFECT, Object
from agentd.platform.kubernetes.watching import Selection, Watching

# Kinds that make others, and are gone only when those are: the garbage collector removes them first.
_MAKERS = frozenset({"CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"})


async def delete(obj: Object, fence: Fence) -> Manifest | None:
    """Delete the object, unless that has been done. What is left of it: None when it is gone already."""
    lost: Failure | None = None
    for _ in range(TRIES):
        live = await obj.get()
        if live is None:
            return None
        marks.check_own(live, obj.ref, fence)
        if marks.is_terminating(live):
            return live
        if lost is not None:
            raise lost.error()
        answer = await obj.delete(live, fence, propagation=_propagation(obj.ref.kind))
        if not isinstance(answer, Failure):
            return live
        if answer.code is CallCode.NOT_FOUND:
            return None
        if answer.code is UNKNOWN_EFFECT:
            lost = answer
    raise busy(obj.ref)


class Deletion:
    """Deletes with a wait."""

    def __init__(self, watching: Watching, blockers: Blockers) -> None:
        self._watching = watching
        self._blockers = blockers

    async def delete(self, obj: Object, fence: Fence, wait_s: float) -> None:
        """See Cluster.delete."""
        deleted = await delete(obj, fence)
        if deleted is None or await self._is_gone(obj, deleted, wait_s):
            return
        left = await obj.get()
        if left is None or not _is_same(left, deleted):
            return
        raise NotReady(f"{obj.ref} is still being deleted: {await self._blockers.describe(left)}")

    async def _is_gone(self, obj: Object, deleted: Manifest, wait_s: float) -> bool:
        if not wait_s:
            return False
        try:
            async with asyncio.timeout(wait_s):
                await self._until_gone(obj, deleted)
        except TimeoutError:
            return False
        return True

    async def _until_gone(self, obj: Object, deleted: Manifest) -> None:
        selection = Selection(obj.resource, obj.ref.namespace, name=obj.ref.name)
        is_there = False
        async with aclosing(self._watching.changes(selection)) as changes:
            async for change in changes:
                if change.manifest is not None and _is_same(change.manifest, deleted):
                    is_there = change.kind is ChangeKind.PRESENT
                if not is_there and change.kind is not ChangeKind.PRESENT:
                    return


async def prune(found: Iterable[tuple[Object, Manifest]], keep: Collection[ObjectRef], fence: Fence) -> list[ObjectRef]:
    """Delete those that are not to be kept, and say which that were; what is terminating already is let be."""
    deleted = []
    for obj, manifest in found:
        if obj.ref in keep or marks.is_terminating(manifest):
            continue
        if await delete(obj, fence) is not None:
            deleted.append(obj.ref)
    return deleted


def _propagation(kind: Kind) -> str:
    group, slash, _ = kind.api_version.partition("/")
    is_custom = bool(slash) and "." in group and not group.endswith(".k8s.io")
    return "Foreground" if kind.name in _MAKERS or is_custom else "Background"


def _is_same(one: Manifest, other: Manifest) -> bool:
    return bool(one["metadata"]["uid"] == other["metadata"]["uid"])
