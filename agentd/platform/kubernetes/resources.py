"""From kinds to REST paths, as the server itself lists them: asked once per group and version, and again on a miss."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from agentd.core import NotReady, PermanentError, Reason
from agentd.platform.cluster import Kind, ObjectRef
from agentd.platform.kubernetes.calls import Calls, Request
from agentd.platform.kubernetes.errors import CallCode, Failure

_DISCOVER = "discover"


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the objects of a kind are."""

    kind: Kind
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def group(self) -> str:
        """The group of the API; empty for the core's."""
        return self.kind.api_version.rpartition("/")[0]

    def collection(self, namespace: str | None) -> str:
        """The path of all objects, of one namespace or of all."""
        return "/".join((_root(self.kind.api_version), *self._namespace(namespace), self.plural))

    def item(self, ref: ObjectRef) -> str:
        """The path of one object. PermanentError when the reference cannot be one to an object of this kind."""
        if self.namespaced != (ref.namespace is not None):
            rule = "needs a namespace" if self.namespaced else "has no namespace"
            raise PermanentError(Reason.INVALID_REQUEST, f"{ref}: a {self.kind.name} {rule}")
        return f"{self.collection(ref.namespace)}/{_segment(ref.name)}"

    def _namespace(self, namespace: str | None) -> tuple[str, ...]:
        return () if namespace is None else ("namespaces", _segment(namespace))


class Resources:
    """The kinds that the server has. Calls that wait for the same answer ask once."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._known: dict[str, Mapping[str, Resource]] = {}
        self._lock = asyncio.Lock()

    async def of(self, kind: Kind) -> Resource:
        """The resource of a kind. NotReady when the server does not have it: what brings it may still be on its way."""
        found = await self.find(kind)
        if found is None:
            raise NotReady(f"the cluster has no kind {kind.name} in {kind.api_version}")
        return found

    async def find(self, kind: Kind) -> Resource | None:
        """The resource of a kind, or None."""
        return self._cached(kind) or await self._ask(kind)

    async def listable(self, groups: Collection[str] | None = None) -> Sequence[Resource]:
        """What a namespace may hold and can be listed, of these groups or of all, in the versions that the server prefers."""
        answer = await self._calls.read(Request(_DISCOVER, "kubernetes:/apis", "GET", "/apis"))
        versions = {"": "v1"} | {group["name"]: group["preferredVersion"]["groupVersion"] for group in answer["groups"]}
        return [
            resource
            for group, version in versions.items()
            if groups is None or group in groups
            for resource in (self._known.get(version) or await self._group(version)).values()
            if resource.namespaced and "list" in resource.verbs
        ]

    def _cached(self, kind: Kind) -> Resource | None:
        return self._known.get(kind.api_version, {}).get(kind.name)

    async def _ask(self, kind: Kind) -> Resource | None:
        async with self._lock:
            return self._cached(kind) or (await self._group(kind.api_version)).get(kind.name)

    async def _group(self, api_version: str) -> Mapping[str, Resource]:
        path = _root(api_version)
        answer = await self._calls.read_unless(
            Request(_DISCOVER, f"kubernetes:{path}", "GET", path), (CallCode.NOT_FOUND,)
        )
        if isinstance(answer, Failure):
            return {}
        self._known[api_version] = {
            found["kind"]: _resource(api_version, found) for found in answer["resources"] if "/" not in found["name"]
        }
        return self._known[api_version]


def _resource(api_version: str, found: Mapping[str, Any]) -> Resource:
    return Resource(
        Kind(api_version, found["kind"]), found["name"], bool(found["namespaced"]), frozenset(found.get("verbs", ()))
    )


def _root(api_version: str) -> str:
    group_version = "/".join(_segment(part) for part in api_version.split("/"))
    return f"/apis/{group_version}" if "/" in api_version else f"/api/{group_version}"


def _segment(name: str) -> str:
    """A name as part of a path. It must stay that: two dots, for example, would lead elsewhere."""
    if name in ("", ".", "..") or "/" in name or "%" in name:
        raise PermanentError(Reason.INVALID_REQUEST, f"{name!r} cannot be part of an object's path")
    return quote(name, safe="")
