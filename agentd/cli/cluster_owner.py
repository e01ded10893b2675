"""The stack's cluster as its owner sees it: with another client than the agent's, and no regard for its rules."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kubernetes_asyncio import client
from kubernetes_asyncio.config import new_client_from_config

HOLD = "example.com/hold"
"""A finalizer of somebody else."""

_ENVIRONMENT = "conveyor.internal/environment-id"
_OWNER = "conveyor.internal/owner-id"
_GENERATION = "conveyor.internal/generation"
_POWER = "conveyor.internal/power"
_HELD = "held"
# What a cluster has without anybody's doing.
_BUILT_IN = ("default", "conveyor-system")


class ClusterOwner:
    """Does to the cluster what the story wants done. Everything may be done twice."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self._core = client.CoreV1Api(api)

    async def make_namespace(self, name: str) -> None:
        """A namespace that is not the agent's."""
        try:
            await self._core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
        except client.ApiException as error:
            _unless(error, 409)

    async def hold(self, namespace: str) -> None:
        """An object with a finalizer that nobody but `release` takes off."""
        held = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=_HELD, finalizers=[HOLD]))
        try:
            await self._core.create_namespaced_config_map(namespace, held)
        except client.ApiException as error:
            _unless(error, 409)

    async def release(self, namespace: str) -> None:
        """Take the finalizer off."""
        try:
            await self._core.patch_namespaced_config_map(
                _HELD, namespace, [{"op": "remove", "path": "/metadata/finalizers"}]
            )
        except client.ApiException as error:
            _unless(error, 404, 422)

    async def namespaces(self) -> Sequence[tuple[object, ...]]:
        """Name, environment, generation, power, phase, and how many objects of the agent's are in it."""
        found = (await self._core.list_namespace()).items
        rows = []
        for namespace in sorted(found, key=lambda namespace: namespace.metadata.name):
            name, labels = namespace.metadata.name, namespace.metadata.labels or {}
            if name in _BUILT_IN or name.startswith("kube-"):
                continue
            rows.append(
                (
                    name,
                    labels.get(_ENVIRONMENT, "-"),
                    labels.get(_GENERATION, "-"),
                    labels.get(_POWER, "-"),
                    namespace.status.phase,
                    await self._objects(name),
                )
            )
        return rows

    async def _objects(self, namespace: str) -> int:
        networking, rbac = client.NetworkingV1Api(self._api), client.RbacAuthorizationV1Api(self._api)
        lists: Sequence[Any] = (  # methods of the library, which has no types
            self._core.list_namespaced_config_map,
            self._core.list_namespaced_limit_range,
            self._core.list_namespaced_resource_quota,
            self._core.list_namespaced_service_account,
            networking.list_namespaced_network_policy,
            rbac.list_namespaced_role,
            rbac.list_namespaced_role_binding,
        )
        return sum([len((await listed(namespace, label_selector=_OWNER)).items) for listed in lists])


@asynccontextmanager
async def cluster_owner(kubeconfig: Path) -> AsyncIterator[ClusterOwner]:
    """The cluster of a kubeconfig."""
    async with await new_client_from_config(str(kubeconfig)) as api:
        yield ClusterOwner(api)


def _unless(error: client.ApiException, *statuses: int) -> None:
    if error.status not in statuses:
        raise error
