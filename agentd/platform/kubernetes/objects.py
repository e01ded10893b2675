"""One object: how it is read, and how each kind of write to it is spelled."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentd.core import Fence, NotReady
from agentd.platform.cluster import FIELD_MANAGER, Manifest, ObjectRef
from agentd.platform.keys import TRACE_ID
from agentd.platform.kubernetes import managed_fields, marks
from agentd.platform.kubernetes.calls import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, Calls, Json, Request
from agentd.platform.kubernetes.errors import CallCode, Failure
from agentd.platform.kubernetes.resources import Resource

# So that an apply of a manifest that says nothing of it leaves what a scale has set.
SCALE_MANAGER = f"{FIELD_MANAGER}-scale"

_AS_AGENT = (("fieldManager", FIELD_MANAGER),)
_STRICT = (*_AS_AGENT, ("fieldValidation", "Strict"))
_DRY = (("dryRun", "All"),)
# A lock that was broken, and a Job that has ended, are made anew: their delete takes nothing away.
_MADE_ANEW = frozenset({"Job", "Lease"})
UNKNOWN_EFFECT = CallCode.UNAVAILABLE
MOVED = (CallCode.CONFLICT, CallCode.NOT_FOUND)
"""The object is not the one that was read any more: read it again."""


@dataclass(frozen=True, slots=True)
class Object:
    """One object of the cluster, there or not. Every write but the creation is bound to a state that was read."""

    calls: Calls
    resource: Resource
    ref: ObjectRef

    async def get(self) -> Manifest | None:
        """The object, or None."""
        answer = await self.calls.read_unless(self._request("get", "GET"), (CallCode.NOT_FOUND,))
        return None if isinstance(answer, Failure) else answer

    async def create(self, wanted: Manifest, fence: Fence) -> Manifest | Failure:
        """POST. A failure says that it exists, that its namespace does not, or that the effect is unknown.

        A conflict is about something beside the object, such as a quota that others use up at the same time.
        """
        accept = (CallCode.EXISTS, *MOVED, UNKNOWN_EFFECT)
        return await self.calls.write(self._creation(wanted, ()), fence=fence, accept=accept)

    async def try_create(self, wanted: Manifest) -> Manifest | Failure:
        """The same, without effect."""
        return await self.calls.read_unless(self._creation(wanted, _DRY), (CallCode.EXISTS, *MOVED))

    async def apply(self, wanted: Manifest, live: Manifest, fence: Fence) -> Manifest | Failure:
        """Server-side apply. A failure says that the object has moved, or that the effect is unknown."""
        return await self.calls.write(
            self._application("apply", wanted, live, ()), fence=fence, accept=(*MOVED, UNKNOWN_EFFECT)
        )

    async def try_apply(self, wanted: Manifest, live: Manifest) -> Manifest | Failure:
        """The same, without effect. A failure may also say that the object would be invalid."""
        return await self.calls.read_unless(self._application("plan", wanted, live, _DRY), (*MOVED, CallCode.INVALID))

    async def try_without(self, live: Manifest, paths: Collection[managed_fields.Path]) -> Manifest | Failure:
        """What would become of the object without these fields: those with a default come back. Without effect.

        A failure says that the object has moved, or that it must have one of them.
        """
        return await self._try_patch(managed_fields.removal(live, paths), _AS_AGENT)

    async def try_instead(self, live: Manifest, other: Manifest) -> Manifest | Failure:
        """What would become of the object with another content, strictly validated. Without effect.

        A failure says that the object has moved, or that it would be invalid.
        """
        return await self._try_patch(managed_fields.replacement(live, other), _STRICT)

    async def stamp(
        self, live: Manifest, fence: Fence, entries: Sequence[managed_fields.Entry] | None = None
    ) -> Manifest | Failure:
        """Write the generation, and who owns which fields unless that is None; nothing but metadata is touched."""
        metadata: dict[str, Any] = {"labels": marks.stamp(fence)}
        if entries is not None:
            metadata["managedFields"] = entries
        return await self._merge("stamp", FIELD_MANAGER, {"metadata": metadata}, live, fence, stamp=True)

    async def scale(
        self, live: Manifest, replicas: int, annotations: Mapping[str, str | None], fence: Fence
    ) -> Manifest | Failure:
        """Set replicas and annotations in one write."""
        # The label of an older event's trace goes, when this one has none.
        labels = {TRACE_ID: None, **marks.content_stamp(fence)}
        metadata = {"labels": labels, "annotations": dict(annotations)}
        body = {"metadata": metadata, "spec": {"replicas": replicas}}
        return await self._merge("scale", SCALE_MANAGER, body, live, fence, stamp=False)

    async def delete(self, live: Manifest, fence: Fence, *, propagation: str) -> Json | Failure:
        """Delete this state of the object. A failure says that the object has moved, or that the effect is unknown."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": _identity(live),
        }
        return await self.calls.write(
            self._request("delete", "DELETE", body=body),
            fence=fence,
            destroys=self.ref.kind.name not in _MADE_ANEW,
            accept=(*MOVED, UNKNOWN_EFFECT),
        )

    async def _try_patch(
        self, operations: Sequence[managed_fields.Operation], query: tuple[tuple[str, str], ...]
    ) -> Manifest | Failure:
        request = self._request(
            "plan",
            "PATCH",
            query=(*query, *_DRY),
            body=operations,
            content_type=JSON_PATCH,
        )
        return await self.calls.read_unless(request, (*MOVED, CallCode.INVALID))

    async def _merge(
        self, operation: str, manager: str, body: Json, live: Manifest, fence: Fence, *, stamp: bool
    ) -> Manifest | Failure:
        body["metadata"] |= _identity(live)
        request = self._request(
            operation,
            "PATCH",
            query=(("fieldManager", manager), ("fieldValidation", "Strict")),
            body=body,
            content_type=MERGE_PATCH,
        )
        return await self.calls.write(request, fence=fence, stamp=stamp, accept=(*MOVED, UNKNOWN_EFFECT))

    def _creation(self, wanted: Manifest, more: tuple[tuple[str, str], ...]) -> Request:
        return Request(
            operation="plan" if more else "create",
            obj=str(self.ref),
            method="POST",
            path=self.resource.collection(self.ref.namespace),
            query=(*_STRICT, *more),
            body=wanted,
        )

    def _application(
        self, operation: str, wanted: Manifest, live: Manifest, more: tuple[tuple[str, str], ...]
    ) -> Request:
        bound = {**wanted, "metadata": {**wanted["metadata"], **_identity(live)}}
        return self._request(
            operation, "PATCH", query=(*_STRICT, ("force", "true"), *more), body=bound, content_type=APPLY_PATCH
        )

    def _request(
        self,
        operation: str,
        method: str,
        *,
        query: tuple[tuple[str, str], ...] = (),
        body: Json = None,
        content_type: str = "application/json",
    ) -> Request:
        return Request(operation, str(self.ref), method, self.resource.item(self.ref), query, body, content_type)


def namespace_missing(ref: ObjectRef, failure: Failure) -> NotReady:
    """What a creation that finds no place for the object means."""
    return NotReady(f"{ref} has to wait: {failure.detail}")


def _identity(live: Manifest) -> dict[str, str]:
    """The state that was read, as a precondition."""
    return {"uid": live["metadata"]["uid"], "resourceVersion": live["metadata"]["resourceVersion"]}
