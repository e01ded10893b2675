"""The way to Services from within the cluster's network, or to wherever a URL says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from agentd.core import PermanentError, Reason
from agentd.platform.routes import ServiceRequest

_NO_LIMIT = ClientTimeout(total=None)  # whoever calls has one


class DirectRoute:
    """See Route. An async context manager; nothing is dialled before the first call.

    `url` is where a namespace's Service is; `{namespace}` in it stands for the namespace. The Service's own name and port are
    not looked at: the URL has them.
    """

    forwards_authorization = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=TCPConnector(limit=0),  # no limit: calls have one of ours
            cookie_jar=DummyCookieJar(),
            timeout=_NO_LIMIT,
            headers={"User-Agent": "conveyor-agent"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def send(self, request: ServiceRequest) -> AsyncIterator[ClientResponse]:
        if self._session is None:
            raise PermanentError(Reason.INTERNAL_ERROR, "the route to Services is not open")
        async with self._session.request(
            request.method,
            self._url.replace("{namespace}", request.namespace) + request.path,
            params=request.query,
            headers=request.headers,
            json=request.body,
            allow_redirects=False,
        ) as response:
            yield response
