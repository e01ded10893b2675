"""What holds a deletion up, in words."""

import re
from collections.abc import Sequence

from agentd.core import AgentError
from agentd.platform.cluster import Manifest
from agentd.platform.kubernetes.calls import Calls, Request
from agentd.platform.kubernetes.resources import Resource, Resources

# Names and finalizers are enough; Secrets, for example, need not be read for that.
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_OF_EACH = 20
_MOST_NAMED = 10
# As the namespace controller writes it: `configmaps. has 1 resource instances, pods. has 2 resource instances`.
_REMAINING = re.compile(r"([a-z0-9-]+)\.([a-z0-9.-]*) has \d+ resource instances")
_CONTENT_REMAINS = "NamespaceContentRemaining"


class Blockers:
    """Looks at what is left of an object that has been deleted."""

    def __init__(self, calls: Calls, resources: Resources) -> None:
        self._calls = calls
        self._resources = resources

    async def describe(self, left: Manifest) -> str:
        """What it waits for: its finalizers, and for a namespace its conditions and the objects in it with finalizers."""
        metadata = left["metadata"]
        said = [_waits("it", finalizers)] if (finalizers := metadata.get("finalizers")) else []
        if left["kind"] == "Namespace" and left["apiVersion"] == "v1":
            conditions = _conditions(left)
            said += [f"{name}: {message}" for name, message in conditions.items()]
            said += await self._holders(metadata["name"], conditions.get(_CONTENT_REMAINS, ""))
        elif not said:
            said.append(f"it is given {metadata.get('deletionGracePeriodSeconds', 0)} s to stop")
        return "; ".join(said) or "its content is being deleted"

    async def _holders(self, namespace: str, remaining: str) -> list[str]:
        named = set(_REMAINING.findall(remaining))
        try:
            resources = await self._resources.listable({group for _, group in named} if named else None)
        except AgentError as error:
            return [f"what is in it could not be looked at: {error.message}"]
        said: list[str] = []
        for resource in resources:
            if not named or (resource.plural, resource.group) in named:
                said += await self._held(resource, namespace)
            if len(said) >= _MOST_NAMED:
                return [*said[:_MOST_NAMED], "and more"]
        return said

    async def _held(self, resource: Resource, namespace: str) -> Sequence[str]:
        request = Request(
            operation="list",
            obj=f"kubernetes:{namespace}/{resource.plural}",
            method="GET",
            path=resource.collection(namespace),
            query=(("limit", str(_OF_EACH)),),
            accept=_METADATA_ONLY,
        )
        try:
            answer = await self._calls.read(request)
        except AgentError as error:
            return [f"{resource.plural} could not be looked at: {error.message}"]
        return [
            _waits(f"{resource.kind.name.lower()}/{item['metadata']['name']}", finalizers)
            for item in answer["items"] or ()
            if (finalizers := item["metadata"].get("finalizers"))
        ]


def _conditions(namespace: Manifest) -> dict[str, str]:
    """What the namespace controller complains about."""
    found = namespace.get("status", {}).get("conditions") or ()
    return {condition["type"]: condition.get("message", "") for condition in found if condition["status"] == "True"}


def _waits(what: str, finalizers: Sequence[str]) -> str:
    return f"{what} waits for finalizer {', '.join(finalizers)}"
