"""One call to an environment's Airflow: its slot, its time-out, its metric, its errors, and for reads its repetition."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from agentd.core import AgentError, Fence, Runtime
from agentd.platform.airflow import AIRFLOW_PORT, AIRFLOW_SERVICE, AirflowAddress, Caller
from agentd.platform.airflow_rest.answers import Take, is_success, refusal
from agentd.platform.airflow_rest.errors import CAUGHT, CallCode, Failure, of_answer, of_exception
from agentd.platform.airflow_rest.tokens import Tokens
from agentd.platform.config import AirflowApiConfig
from agentd.platform.routes import Route, ServiceRequest
from agentd.telemetry import Metrics

T = TypeVar("T")

_PORT = "airflow"
_API = "/api/v2"
_PASSING = (CallCode.THROTTLED, CallCode.UNAVAILABLE, CallCode.NOT_THERE)
_READ_ATTEMPTS = 4
_READ_BUDGET_S = 10.0
_FIRST_CEILING_S = 0.25


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of Airflow. `operation` is the metric's label; `path` is below the API's own, and percent-encoded."""

    operation: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None  # its shape is the call's own
    accept: str = "application/json"


class Transport:
    """What all environments' calls share: the way, the tokens, and how many calls there may be to each at once."""

    def __init__(self, route: Route, config: AirflowApiConfig, *, metrics: Metrics, runtime: Runtime) -> None:
        self.route = route
        self.config = config
        self.tokens = Tokens(runtime)
        self.metrics = metrics
        self.runtime = runtime
        self._slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def slots(self, namespace: str) -> asyncio.Semaphore:
        """Those of one environment, for all that hold on to them."""
        slots = self._slots.get(namespace)
        if slots is None:
            slots = self._slots[namespace] = asyncio.Semaphore(self.config.parallel_calls)
        return slots


class Calls:
    """Makes the calls to one environment as one caller. Errors that leave it are the agent's own."""

    def __init__(self, transport: Transport, address: AirflowAddress, caller: Caller) -> None:
        self._transport = transport
        self._runtime = transport.runtime
        self._timeout_s = transport.config.call_timeout_s
        self._slots = transport.slots(address.namespace)
        self._address = address
        self._caller = caller

    async def read(self, request: Request, take: Take[T]) -> T:
        """The answer of a call without effect, repeated while the fault is passing, for some seconds. A dry run is one too."""
        answer = await self._read(request, take)
        if isinstance(answer, Failure):
            raise answer.error()
        return answer

    async def read_if_found(self, request: Request, take: Take[T]) -> T | None:
        """The same; None when what is asked for is not there."""
        answer = await self._read(request, take)
        if not isinstance(answer, Failure):
            return answer
        if answer.code is CallCode.NOT_FOUND:
            return None
        raise answer.error()

    async def write(
        self, request: Request, take: Take[T], *, obj: str, fence: Fence, accept: Collection[CallCode] = ()
    ) -> T | Failure:
        """The answer of one mutating call, fenced and never repeated here.

        A failure with one of the accepted codes is returned, others are raised. After UNAVAILABLE the effect is unknown.
        """

        async def permit() -> float:
            return min(self._timeout_s, await fence.before_write(f"{self._address}/{obj}"))

        answer = await self._call(request, take, permit)
        if isinstance(answer, Failure) and answer.code not in accept:
            raise answer.error()
        return answer

    async def _read(self, request: Request, take: Take[T]) -> T | Failure:
        give_up_at = self._runtime.monotonic() + _READ_BUDGET_S
        for attempt in range(_READ_ATTEMPTS):
            answer = await self._call(request, take, self._within_own_limit)
            if not isinstance(answer, Failure) or answer.code not in _PASSING:
                break
            wait_s = max(self._runtime.full_jitter(_FIRST_CEILING_S * 2**attempt), answer.retry_after or 0.0)
            if attempt + 1 == _READ_ATTEMPTS or self._runtime.monotonic() + wait_s > give_up_at:
                break
            await self._runtime.sleep(wait_s)
        return answer

    async def _call(self, request: Request, take: Take[T], permit: Callable[[], Awaitable[float]]) -> T | Failure:
        """`permit` is asked right before the call, and gives the seconds that it may take."""
        about = f"{request.operation} on {self._address}"
        async with self._slots:
            timeout_s = await permit()
            started = self._runtime.monotonic()
            code = CallCode.CANCELLED
            try:
                async with asyncio.timeout(timeout_s):
                    answer = await self._send(request, take, about)
                code = answer.code if isinstance(answer, Failure) else CallCode.OK
            except AgentError:  # of the way there: no credentials to be had, or of the token
                code = CallCode.CREDENTIALS
                raise
            except CAUGHT as error:
                answer = of_exception(error, about=about)
                code = answer.code
            finally:
                duration_s = self._runtime.monotonic() - started
                self._transport.metrics.platform_call_duration.labels(_PORT, request.operation, code).observe(
                    duration_s
                )
        return answer

    async def _send(self, request: Request, take: Take[T], about: str) -> T | Failure:
        async with self._transport.route.send(self._addressed(request)) as response:
            if is_success(response):
                return await take(response)
            failure = of_answer(response.status, response.headers, await refusal(response), about=about)
        if failure.code is CallCode.CREDENTIALS:
            self._transport.tokens.forget(self._address, self._caller)
        return failure

    def _addressed(self, request: Request) -> ServiceRequest:
        token = self._transport.tokens.get(self._address, self._caller)
        forwards = self._transport.route.forwards_authorization
        return ServiceRequest(
            namespace=self._address.namespace,
            service=AIRFLOW_SERVICE,
            port=AIRFLOW_PORT,
            method=request.method,
            path=f"{self._address.prefix}{_API}{request.path}",
            query=request.query,
            headers={
                "Accept": request.accept,
                "Accept-Encoding": "identity",  # so that what is read is bounded by what is sent
                "Content-Type": "application/json",
                # Airflow takes either; its own pages send the cookie.
                **({"Authorization": f"Bearer {token}"} if forwards else {"Cookie": f"_token={token}"}),
            },
            body=request.body,
        )

    async def _within_own_limit(self) -> float:
        return self._timeout_s
