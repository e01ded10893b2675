"""One call to the API server: its slot, its time-out, its metric, its errors, and for reads its repetition."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from aiohttp import ClientResponse, ClientTimeout

from agentd.core import AgentError, Fence, Runtime, TransientError
from agentd.platform.config import ClusterConfig
from agentd.platform.kubernetes.connection import Connection, Session
from agentd.platform.kubernetes.errors import CAUGHT, CallCode, Failure, of_answer, of_exception
from agentd.platform.kubernetes.library import ApiClient
from agentd.telemetry import Metrics

# An answer of the API; its shape is its kind's own.
Json = Any

APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

_PORT = "cluster"
_PASSING = (CallCode.THROTTLED, CallCode.UNAVAILABLE)
_READ_ATTEMPTS = 4
_READ_BUDGET_S = 10.0
_FIRST_CEILING_S = 0.25
_NO_LIMIT = ClientTimeout(total=None)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the API server. `operation` is the metric's label; `obj` names the object in errors."""

    operation: str
    obj: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Json = None
    content_type: str = "application/json"
    accept: str = "application/json"

    @property
    def about(self) -> str:
        """For errors."""
        return f"{self.operation} on {self.obj}"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Calls:
    """Makes the calls of the port. Errors that leave it are the agent's own."""

    def __init__(self, connection: Connection, config: ClusterConfig, metrics: Metrics, runtime: Runtime) -> None:
        self._connection = connection
        self._timeout_s = config.call_timeout_s
        self._slots = asyncio.Semaphore(config.parallel_calls)
        self._metrics = metrics
        self._runtime = runtime

    async def read(self, request: Request) -> Json:
        """The answer of a call without effect, repeated while the fault is passing, for some seconds. A dry run is one too."""
        return await self.read_unless(request, ())

    async def read_unless(self, request: Request, accept: Collection[CallCode]) -> Json | Failure:
        """The same; but a failure with one of the accepted codes is returned, not raised."""
        give_up_at = self._runtime.monotonic() + _READ_BUDGET_S
        for attempt in range(_READ_ATTEMPTS):
            answer = await self._call(request, self._within_own_limit)
            if not isinstance(answer, Failure) or answer.code not in _PASSING:
                break
            wait_s = max(self._runtime.full_jitter(_FIRST_CEILING_S * 2**attempt), answer.retry_after or 0.0)
            if attempt + 1 == _READ_ATTEMPTS or self._runtime.monotonic() + wait_s > give_up_at:
                break
            await self._runtime.sleep(wait_s)
        return _accepted(answer, accept)

    async def write(
        self,
        request: Request,
        *,
        fence: Fence,
        stamp: bool = False,
        destroys: bool = False,
        accept: Collection[CallCode],
    ) -> Json | Failure:
        """The answer of one mutating call, fenced and never repeated here.

        A failure with one of the accepted codes is returned, others are raised. After UNAVAILABLE the effect is unknown: who
        can find out should accept it.
        """

        async def permit() -> float:
            allowed_s = await fence.before_write(request.obj, stamp=stamp, destroys=destroys)
            return min(self._timeout_s, allowed_s)

        return _accepted(await self._call(request, permit), accept)

    async def text(self, request: Request) -> tuple[int, str]:
        """Status and text of an answer that is no JSON, whatever the status. Raises TransientError when there is none."""
        started = self._runtime.monotonic()
        code = CallCode.UNAVAILABLE
        try:
            async with self._slots, asyncio.timeout(self._timeout_s):
                answer = await self._send(request)
            code = CallCode.OK
        except CAUGHT as error:
            raise of_exception(error, about=request.about).error() from error
        finally:
            self._count(request, code, started)
        return answer.status, answer.body.decode(errors="replace")

    async def events(self, request: Request, *, timeout_s: float) -> AsyncGenerator[Json | Failure]:
        """The events of a watch until the server ends it. A Failure comes last: why it was refused, or why it broke.

        A generator that takes no slot: close it to stop.
        """
        started = self._runtime.monotonic()
        limits = ClientTimeout(total=timeout_s, sock_connect=self._timeout_s)
        try:
            async with self._connection.session() as session, await _ask(session.api, request, limits) as response:
                failure = await self._refusal(session, request, response)
                self._count(request, failure.code if failure else CallCode.OK, started)
                if failure:
                    yield failure
                    return
                lines = _Lines()
                async for chunk in response.content.iter_any():
                    for line in lines.feed(chunk):
                        yield json.loads(line)
        except TransientError as error:  # of the access: there is no token to be had right now
            yield Failure(CallCode.CREDENTIALS, request.about, "credentials", error.message, None, error.retry_after)
        except CAUGHT as error:
            yield of_exception(error, about=request.about)

    async def _refusal(self, session: Session, request: Request, response: ClientResponse) -> Failure | None:
        if response.status < HTTPStatus.BAD_REQUEST:
            return None
        if response.status == HTTPStatus.UNAUTHORIZED:
            await self._connection.renew(session)
        return of_answer(response.status, response.headers, await response.read(), about=request.about)

    async def _call(self, request: Request, permit: Callable[[], Awaitable[float]]) -> Json | Failure:
        """`permit` is asked right before the call, and gives the seconds that it may take."""
        async with self._slots:
            timeout_s = await permit()
            started = self._runtime.monotonic()
            code = CallCode.CANCELLED
            try:
                async with asyncio.timeout(timeout_s):
                    answer = _read_answer(await self._send(_bounded(request, timeout_s)), request.about)
                code = answer.code if isinstance(answer, Failure) else CallCode.OK
            except AgentError:  # of the access: there is no token to be had
                code = CallCode.CREDENTIALS
                raise
            except CAUGHT as error:
                answer = of_exception(error, about=request.about)
                code = answer.code
            finally:
                self._count(request, code, started)
        return answer

    async def _within_own_limit(self) -> float:
        return self._timeout_s

    async def _send(self, request: Request) -> _Answer:
        """Once more with new credentials when the server refuses those it was sent: then nothing has been done yet."""
        while True:
            async with self._connection.session() as session:
                async with await _ask(session.api, request, _NO_LIMIT) as response:
                    answer = _Answer(response.status, response.headers, await response.read())
                if answer.status != HTTPStatus.UNAUTHORIZED or not await self._connection.renew(session):
                    return answer

    def _count(self, request: Request, code: CallCode, started: float) -> None:
        duration_s = self._runtime.monotonic() - started
        self._metrics.platform_call_duration.labels(_PORT, request.operation, code).observe(duration_s)


class _Lines:
    """Puts lines together from chunks: an object may be larger than the reader's buffer."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that the chunk completes."""
        *lines, last = chunk.split(b"\n")
        for line in lines:
            yield bytes(self._rest) + line
            self._rest.clear()
        self._rest += last


async def _ask(api: ApiClient, request: Request, limits: ClientTimeout) -> ClientResponse:
    """The answer's head. The library would log the body at level debug if it read it: Secrets too."""
    response: ClientResponse = await api.call_api(
        request.path,
        request.method,
        query_params=list(request.query),
        header_params={"Accept": request.accept, "Content-Type": request.content_type},
        body=request.body,
        auth_settings=["BearerToken"],
        _preload_content=False,
        _request_timeout=limits,
    )
    return response


def _bounded(request: Request, timeout_s: float) -> Request:
    """Tells the server too when to stop: what is given up here should not be done later."""
    if request.method == "GET":
        return request
    return replace(request, query=(*request.query, ("timeout", f"{max(1, math.floor(timeout_s * 1000))}ms")))


def _read_answer(answer: _Answer, about: str) -> Json | Failure:
    """Raises ValueError when success is no JSON: something else answered."""
    if answer.status >= HTTPStatus.BAD_REQUEST:
        return of_answer(answer.status, answer.headers, answer.body, about=about)
    return json.loads(answer.body)


def _accepted(answer: Json | Failure, accept: Collection[CallCode]) -> Json | Failure:
    if isinstance(answer, Failure) and answer.code not in accept:
        raise answer.error()
    return answer
