"""The way to Services through the API server's own proxy: from anywhere that the API server can be reached from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar
from kubernetes_asyncio.client import ApiClient

from agentd.platform.kubernetes.connection import Connection
from agentd.platform.routes import ServiceRequest

_NO_LIMIT = ClientTimeout(total=None)  # whoever calls has one


class ServiceProxyRoute:
    """See Route. Over a connection that the caller opens and closes, with the agent's own credentials.

    The API server takes the Authorization header for itself. What it answers in the Service's place is a Status object.
    """

    forwards_authorization = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def send(self, request: ServiceRequest) -> AsyncIterator[ClientResponse]:
        while True:
            async with self._connection.session() as session, _ask(session.api, request) as response:
                # Whoever refuses, nothing has been done yet; renewing says no when it was done just now.
                refused = response.status == HTTPStatus.UNAUTHORIZED
                if not refused or not await self._connection.renew(session):
                    yield response
                    return


@asynccontextmanager
async def _ask(api: ApiClient, request: ServiceRequest) -> AsyncIterator[ClientResponse]:
    """The answer, over the library's connections but not by its way: what answers is a workload, which nobody need trust.

    The library would follow a redirect, to any path of the API server with the agent's own credentials, and keep cookies,
    which would then go to the Services of others.
    """
    rest = api.rest_client
    service = f"/api/v1/namespaces/{request.namespace}/services/{request.service}:{request.port}/proxy"
    headers, query = {**request.headers, "User-Agent": api.user_agent or ""}, list(request.query)
    await api.update_params_for_auth(headers, query, ["BearerToken"])
    client = ClientSession(
        connector=rest.pool_manager.connector,
        connector_owner=False,
        cookie_jar=DummyCookieJar(),
        timeout=_NO_LIMIT,
        trust_env=True,
    )
    async with (
        client,
        client.request(
            request.method,
            f"{api.configuration.host}{service}{request.path}",
            params=query,
            headers=headers,
            json=request.body,
            allow_redirects=False,
            proxy=rest.proxy,
            proxy_headers=rest.proxy_headers,
            server_hostname=rest.server_hostname,
        ) as response,
    ):
        yield response
