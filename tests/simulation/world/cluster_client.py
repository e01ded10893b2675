"""The client library below the cluster adapter, simulated: its sessions, its calls, its answers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, cast

import aiohttp
from kubernetes_asyncio.client import ApiClient

from agentd.embedded.kube.encoding import dump
from agentd.embedded.kube.status import ApiError, Details, qualified
from agentd.platform.kubernetes import Connection
from agentd.platform.kubernetes.connection import Session
from tests.simulation.world.faults import FaultKind
from tests.simulation.world.gate import Gate
from tests.simulation.world.kube import Kube, KubeRequest, Told
from tests.simulation.world.truth import Asked

_JSON = "application/json"
_USER = "system:serviceaccount:conveyor-system:agent"


def says(kind: FaultKind, operation: str) -> Exception:
    """How an API server refuses whatever is asked; and how the client tells a broken connection."""
    verb, _, resource = operation.partition(" ")
    match kind:
        case FaultKind.THROTTLED:
            details = Details(retry_after_s=1)
            return ApiError(429, "TooManyRequests", "Too many requests, please try again later.", details)
        case FaultKind.UNAVAILABLE:
            return ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request")
        case FaultKind.DENIED:
            why = f'User "{_USER}" cannot {verb} resource "{resource}"'
            return ApiError(403, "Forbidden", f"{qualified(resource, '')} is forbidden: {why}", Details(kind=resource))
        case _:
            return aiohttp.ServerDisconnectedError()


class Response:
    """An answer, as the library hands it over unread."""

    def __init__(
        self, status: int, body: bytes, headers: Mapping[str, str], lines: AsyncIterator[bytes] | None = None
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = self
        self._body = body
        self._lines = lines

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def read(self) -> bytes:
        """The whole body."""
        return self._body

    async def iter_any(self) -> AsyncIterator[bytes]:
        """A watch's body, as it comes."""
        if self._lines is None:
            yield self._body
            return
        async for lines in self._lines:
            yield lines


class Api:
    """The one method of the library that the adapter calls."""

    def __init__(self, kube: Kube, gate: Gate) -> None:
        self._kube = kube
        self._gate = gate

    async def call_api(
        self,
        path: str,
        method: str,
        *,
        query_params: Sequence[tuple[str, str]],
        header_params: Mapping[str, str],
        body: Any,
        **_: Any,
    ) -> Response:
        """One call. Raises what aiohttp raises when the connection breaks."""
        try:
            request = self._kube.read(method, path, dict(query_params), body, header_params["Content-Type"])
            told = await self._gate.call(
                request.operation, lambda asked: self._answer(asked, request), is_write=request.is_write
            )
        except ApiError as error:
            return _refused(error)
        return told

    def _answer(self, asked: Asked, request: KubeRequest) -> Response:
        if request.verb == "watch":
            return Response(200, b"", {"Content-Type": _JSON}, self._kube.watch(request))
        told: Told = self._kube.answer(asked, request)
        return Response(told.status, told.body, {"Content-Type": _JSON})


def _refused(error: ApiError) -> Response:
    headers = {"Content-Type": _JSON}
    if error.details is not None and error.details.retry_after_s:
        headers["Retry-After"] = str(error.details.retry_after_s)
    return Response(error.code, dump(error.status()), headers)


class SimulatedConnection:
    """In the place of a `Connection`: one session that needs no credentials and is never closed."""

    def __init__(self, api: Api) -> None:
        self._session = Session(cast("ApiClient", api))

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """See Connection."""
        yield self._session

    async def renew(self, _stale: Session) -> bool:
        """See Connection: there is nothing newer."""
        return False


def connect(kube: Kube, gate: Gate) -> Connection:
    """A connection of one replica."""
    return cast("Connection", SimulatedConnection(Api(kube, gate)))
