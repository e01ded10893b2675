"""What the API server says beside its objects: the time, and who issues the tokens of its service accounts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from aiohttp import ClientResponse, ClientTimeout

from agentd.core import Runtime
from agentd.platform.kubernetes.connection import Connection
from agentd.platform.kubernetes.errors import CAUGHT, of_answer, of_exception

_HALF_A_SECOND = 0.5  # a Date header is cut to whole seconds
_UNKNOWN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class ServerFacts:
    """Over a connection that the caller opens and closes. Raises TransientError or PermanentError."""

    def __init__(self, connection: Connection, *, timeout_s: float, runtime: Runtime) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._runtime = runtime

    async def ahead_s(self) -> float | None:
        """How far this machine's clock is ahead of the server's, within a second; None when the answer has no date."""
        before = self._runtime.now()
        date = (await self._get("/version")).headers.get("Date")
        if date is None:
            return None
        theirs = parsedate_to_datetime(date).timestamp() + _HALF_A_SECOND
        return (before + self._runtime.now()) / 2 - theirs

    async def issuer(self) -> str | None:
        """URL of the issuer of service account tokens; None when the server does not tell the agent."""
        path = "/.well-known/openid-configuration"
        answer = await self._get(path)
        if answer.status in _UNKNOWN:
            return None
        if answer.status != HTTPStatus.OK:
            raise of_answer(answer.status, answer.headers, answer.body, about=_about(path)).error()
        try:
            return str(json.loads(answer.body)["issuer"])
        except (ValueError, KeyError) as error:
            raise of_exception(error, about=_about(path)).error() from error

    async def _get(self, path: str) -> _Answer:
        try:
            async with self._connection.session() as session:
                response: ClientResponse = await session.api.call_api(
                    path,
                    "GET",
                    header_params={"Accept": "application/json"},
                    auth_settings=["BearerToken"],
                    _preload_content=False,
                    _request_timeout=ClientTimeout(total=self._timeout_s),
                )
                async with response:
                    return _Answer(response.status, response.headers, await response.read())
        except CAUGHT as error:
            raise of_exception(error, about=_about(path)).error() from error


def _about(path: str) -> str:
    return f"get on kubernetes:{path}"
