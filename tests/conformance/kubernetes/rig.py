"""A namespace of a test's own on some API server, and short words for what every behaviour does there."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from kubernetes_asyncio import client
from kubernetes_asyncio.client import ApiClient, ApiException
from kubernetes_asyncio.watch import Watch

# Objects of the client have no types, and their manifests are free-form.
Object = Any
Manifest = dict[str, Any]

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
DEADLINE_S = 50.0
_WATCH_S = 40


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is not a success."""

    code: int
    status: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """One word: NotFound, Conflict, ..."""
        return str(self.status.get("reason", ""))

    @property
    def message(self) -> str:
        """What the server says."""
        return str(self.status["message"])

    @property
    def fields(self) -> set[str]:
        """The fields that it names."""
        return {cause["field"] for cause in self.causes if "field" in cause}

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        """What it says of each field."""
        return list(self.status.get("details", {}).get("causes", []))


async def refused(call: Awaitable[Object]) -> Refusal:
    """The refusal of a call that must not succeed."""
    try:
        answer = await call
    except ApiException as error:
        return Refusal(error.status, json.loads(error.body or b"{}"))
    raise AssertionError(f"not refused: {answer}")


@dataclass(slots=True)
class Rig:
    """What a behaviour is tried with."""

    api: ApiClient
    namespace: str
    core: Object = field(init=False)
    apps: Object = field(init=False)
    batch: Object = field(init=False)

    def __post_init__(self) -> None:
        self.core, self.apps, self.batch = (
            self.using(group) for group in (client.CoreV1Api, client.AppsV1Api, client.BatchV1Api)
        )

    @classmethod
    @asynccontextmanager
    async def on(cls, api: ApiClient) -> AsyncIterator[Self]:
        """In a new namespace that is ready for pods, and is deleted in the end."""
        rig = cls(api, "")
        made = await rig.core.create_namespace({"metadata": {"generateName": "test-"}})
        rig.namespace = made.metadata.name
        await rig.until(rig.core.list_namespaced_service_account, "default", lambda _account: True)
        yield rig
        try:
            await rig.core.delete_namespace(rig.namespace)
        except ApiException as error:
            if error.status != 404:
                raise

    def using(self, group: Callable[[ApiClient], Object]) -> Object:
        """The calls of one API group."""
        return group(self.api)

    async def config_map(self, name: str, /, **metadata: Any) -> Object:
        """A new ConfigMap with one entry."""
        return await self.core.create_namespaced_config_map(
            self.namespace, {"metadata": {"name": name, **metadata}, "data": {"colour": "blue"}}
        )

    async def apply(self, path: str, body: Manifest, manager: str = "test", **query: str) -> Manifest:
        """Apply an object at its path below the namespace's: /apis/GROUP/VERSION/namespaces/NAMESPACE/RESOURCE/NAME."""
        group = body["apiVersion"]
        base = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        place = f"{base}/namespaces/{self.namespace}/{path}/{body['metadata']['name']}"
        return await self.send("PATCH", place, body, content_type=APPLY, fieldManager=manager, **query)

    async def send(
        self, method: str, path: str, body: object = None, *, content_type: str = "application/json", **query: str
    ) -> Manifest:
        """Any request, by the client's own transport; the answer as it came."""
        answer: Manifest = await self.api.call_api(
            path,
            method,
            query_params=list(query.items()),
            header_params={"Content-Type": content_type, "Accept": "application/json"},
            body=body,
            response_types_map={200: "object", 201: "object"},
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
        )
        return answer

    async def apply_config_map(self, manager: str, data: Mapping[str, str], **options: Any) -> Object:
        """Apply the ConfigMap named `applied`."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": data}
        return await self.core.patch_namespaced_config_map(
            "applied", self.namespace, body, field_manager=manager, _content_type=APPLY, **options
        )

    async def until(
        self,
        listing: Callable[..., Awaitable[Object]],
        name: str,
        met: Callable[[Object], bool],
        *,
        cluster: bool = False,
    ) -> Object:
        """The object of that name as soon as it is so."""
        async with asyncio.timeout(DEADLINE_S):
            async with aclosing(self._states(listing, name, cluster=cluster)) as states:
                async for there in states:
                    if there is not None and met(there):
                        return there
        raise AssertionError("a watch has no end but the deadline")

    async def until_gone(self, listing: Callable[..., Awaitable[Object]], name: str, *, cluster: bool = False) -> None:
        """Returns when there is no object of that name."""
        async with asyncio.timeout(DEADLINE_S):
            async with aclosing(self._states(listing, name, cluster=cluster)) as states:
                async for there in states:
                    if there is None:
                        return

    async def _states(
        self, listing: Callable[..., Awaitable[Object]], name: str, *, cluster: bool
    ) -> AsyncGenerator[Object | None, None]:
        """The object of that name as it is now and after every change; None while there is none."""
        selector = f"metadata.name={name}"
        while True:
            listed = await listing(*(() if cluster else (self.namespace,)), field_selector=selector)
            yield listed.items[0] if listed.items else None
            version = listed.metadata.resource_version
            options = {"field_selector": selector, "resource_version": version}
            async with aclosing(self.watch(listing, cluster=cluster, **options)) as events:
                async for event in events:
                    yield None if event["type"] == "DELETED" else event["object"]

    async def watch(
        self, listing: Callable[..., Awaitable[Object]], *, cluster: bool = False, **options: Any
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """The events of a watch."""
        place = () if cluster else (self.namespace,)
        options.setdefault("timeout_seconds", _WATCH_S)
        async with Watch().stream(listing, *place, **options) as events:
            async for event in events:
                yield event


def deployment(name: str, **spec: Any) -> Manifest:
    """A Deployment without pods, unless told otherwise."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}},
            **spec,
        },
    }


def pod(name: str, **spec: Any) -> Manifest:
    """A pod with one container."""
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "app:1"}], **spec}}
