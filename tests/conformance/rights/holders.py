"""Who the agent is in the cluster: somebody with the rights that are generated for it, and no others."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from aiohttp import ClientSession, TCPConnector

from agentd.cli.grants import api_resource, grants
from agentd.core import Permission
from agentd.embedded.kube import Denial, EmbeddedKubernetes
from agentd.platform import ClusterReader
from tests.conformance.cluster.relay import Relay, run_relay
from tests.conformance.cluster.support import Hands, Server, relayed

ACCOUNT = "agentd"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_APPLY = "application/apply-patch+yaml"
_TAKES_EFFECT_S = 20.0


class Place(Protocol):
    """An API server, and a way to be somebody there whose rights can be taken away."""

    server: Server
    checks_grants: bool
    """Whether nobody may grant there what he does not hold."""

    def way(self, namespace: str) -> AbstractAsyncContextManager[Relay]:
        """The way to the server of a service account in the namespace, which is there."""
        ...

    async def hold(self, permissions: Collection[Permission], of: Collection[Permission], namespace: str) -> None:
        """Let it have exactly these rights out of those."""
        ...

    async def leave(self) -> None:
        """Take away what no namespace takes with it."""
        ...


@dataclass
class EmbeddedPlace:
    """The embedded server knows no roles: what is not to be held is denied, to everybody."""

    server: Server
    kubernetes: EmbeddedKubernetes
    checks_grants: bool = False

    def way(self, namespace: str) -> AbstractAsyncContextManager[Relay]:
        return relayed(self.server)

    async def hold(self, permissions: Collection[Permission], of: Collection[Permission], namespace: str) -> None:
        await self.kubernetes.deny(*(_denial(permission) for permission in of if permission not in permissions))

    async def leave(self) -> None:
        await self.kubernetes.deny()


@dataclass
class RealPlace:
    """A service account with the roles that are generated, under a name of their own, and a token that the server issued."""

    server: Server
    name: str = field(default_factory=lambda: f"agentd-{uuid4().hex[:12]}")
    checks_grants: bool = True

    @property
    def hands(self) -> Hands:
        """An administrator's."""
        return self.server.hands

    @asynccontextmanager
    async def way(self, namespace: str) -> AsyncIterator[Relay]:
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        await self.hands.call("POST", accounts, {"metadata": {"name": ACCOUNT}})
        issued = await self.hands.call("POST", f"{accounts}/{ACCOUNT}/token", {"spec": {}})
        trust = ssl.create_default_context(cafile=self.hands.api.configuration.ssl_ca_cert)
        headers = {"Authorization": f"Bearer {issued['status']['token']}"}
        async with (
            ClientSession(connector=TCPConnector(ssl=trust, limit=0)) as upstream,
            run_relay(upstream, self.server.url, headers) as relay,
        ):
            yield relay

    async def hold(self, permissions: Collection[Permission], of: Collection[Permission], namespace: str) -> None:
        for document in grants(permissions, name=self.name, account=ACCOUNT, namespace=namespace):
            await self.hands.call("PATCH", _path(document), document, _APPLY, fieldManager="installer", force="true")

    async def leave(self) -> None:
        for plural in ("clusterrolebindings", "clusterroles"):
            if await self.hands.get(f"{_RBAC}/{plural}/{self.name}"):
                await self.hands.delete(f"{_RBAC}/{plural}/{self.name}")


async def told(cluster: ClusterReader, permission: Permission, *, held: bool) -> None:
    """Until the server says that it is, or is not: its authorizer follows the roles. Each look waits for the server."""
    async with asyncio.timeout(_TAKES_EFFECT_S):
        while (await cluster.allowed(permission, namespace=permission.namespace or None) is None) is not held:
            pass


def _denial(permission: Permission) -> Denial:
    group, resource = api_resource(permission.resource)
    plural, _, subresource = resource.partition("/")
    return Denial(permission.action, group, plural, subresource, permission.namespace)


def _path(document: Mapping[str, Any]) -> str:
    metadata = document["metadata"]
    within = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{_RBAC}{within}/{document['kind'].lower()}s/{metadata['name']}"
