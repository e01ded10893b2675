"""One call to AWS: its time-out, its metric, its errors."""

import asyncio
from collections.abc import Awaitable, Collection
from typing import TypeVar

from agentd.core import PermanentError, Reason, Runtime
from agentd.platform.aws.errors import CAUGHT, CallCode, classify, to_error
from agentd.telemetry import Metrics

T = TypeVar("T")


class AwsCalls:
    """Makes the calls of one port to one service. Errors that leave it are the agent's own."""

    def __init__(self, *, port: str, service: str, metrics: Metrics, runtime: Runtime) -> None:
        self._port = port
        self._service = service
        self._metrics = metrics
        self._runtime = runtime

    async def call(self, operation: str, obj: str, request: Awaitable[T], *, timeout_s: float) -> T:
        """The answer. Raises TransientError or PermanentError that names operation, object, provider's code and request id."""
        answer = await self.call_unless(operation, obj, request, timeout_s=timeout_s, refusals=())
        if answer is None:
            raise PermanentError(Reason.INTERNAL_ERROR, f"{self._service} {operation} on {obj}: no answer and no error")
        return answer

    async def call_unless(
        self, operation: str, obj: str, request: Awaitable[T], *, timeout_s: float, refusals: Collection[str]
    ) -> T | None:
        """The answer, or None when the provider refuses with one of these codes."""
        started = self._runtime.monotonic()
        code = CallCode.CANCELLED
        try:
            async with asyncio.timeout(timeout_s):
                answer = await request
        except CAUGHT as error:
            failure = classify(error)
            code = failure.code
            if failure.provider_code in refusals:
                return None
            raise to_error(failure, service=self._service, operation=operation, obj=obj) from error
        else:
            code = CallCode.OK
            return answer
        finally:
            self._metrics.platform_call_duration.labels(self._port, operation, code).observe(
                self._runtime.monotonic() - started
            )
