"""The way to Services through the API server's own proxy: from anywhere that the API server can be reached from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import ClientResponse, ClientTimeout

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
        service = f"/api/v1/namespaces/{request.namespace}/services/{request.service}:{request.port}/proxy"
        while True:
            async with self._connection.session() as session:
                response: ClientResponse = await session.api.call_api(
                    service + request.path,
                    request.method,
                    query_params=list(request.query),
                    header_params=dict(request.headers),
                    body=request.body,
                    auth_settings=["BearerToken"],
                    _preload_content=False,
                    _request_timeout=_NO_LIMIT,
                )
                async with response:
                    # Whoever refuses, nothing has been done yet; renewing says no when it was done just now.
                    refused = response.status == HTTPStatus.UNAUTHORIZED
                    if not refused or not await self._connection.renew(session):
                        yield response
                        return
