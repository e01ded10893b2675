"""The way of a call: headers, admission, the service's work within its deadline, trailers.

Every call ends with a counter, a log line and an entry in the audit log, whatever becomes of it; and with a status in its
trailers, unless its caller has gone.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from typing import Any

from grpclib.const import Status
from grpclib.protocol import Stream as WireStream
from h2.exceptions import StreamClosedError

from agentd.core import AuditLog, Runtime
from agentd.telemetry import Metrics, bind_call, get_logger
from proxy.audit import CallAudit
from proxy.config import ProxyConfig
from proxy.deadlines import Deadline, asked_s, deadline
from proxy.errors import CallError, Refusal, as_call_error, details, internal, refused, text
from proxy.limits import BoundedStream, Message, Slots
from proxy.routes import UNKNOWN, Method
from proxy.table import Call, CallTable, draining
from proxy.wire import REQUEST_ID, Headers, NotGrpc, Request, read_request

log = get_logger("proxy")

_GOODBYE_S = 5.0  # for trailers: a few hundred bytes that wait for nothing but the socket


class Calls:
    """Carries calls out."""

    def __init__(
        self, routes: Mapping[str, Method], config: ProxyConfig, runtime: Runtime, metrics: Metrics, audit: AuditLog
    ) -> None:
        self.table = CallTable(routes.values(), runtime, metrics)
        self._routes = routes
        self._config = config
        self._runtime = runtime
        self._audit = CallAudit(audit, runtime)
        self._slots = Slots(config)
        self._goodbye_s = min(_GOODBYE_S, config.stall_s)
        self._draining = False

    def refuse(self) -> None:
        """Take no new calls from now on."""
        self._draining = True

    async def serve(self, wire: WireStream, headers: Headers, abort: Callable[[], None]) -> None:
        """Carry one call out. Raises nothing but CancelledError, which means that the caller has gone.

        `abort` closes the connection of a peer that does not even take trailers.
        """
        try:
            request = read_request(headers)
        except NotGrpc as error:
            await self._answer_http(wire, error, abort)
        else:
            await self._serve(self._call(wire, request, abort), wire)

    async def _serve(self, call: Call, wire: WireStream) -> None:
        self.table.add(call)
        with bind_call(request_id=call.request_id, traceparent=call.request.traceparent):
            try:
                error = await self._carry_out(call)
                call.reason = error.reason if error else None
                await self._parting(wire, self._say_goodbye(call, wire, error), call.abort)
            finally:
                self.table.remove(call)
                self._audit.ended(call)

    def _call(self, wire: WireStream, request: Request, abort: Callable[[], None]) -> Call:
        method = self._routes.get(request.path, UNKNOWN)

        async def on_request(message: Message) -> None:
            await self._audit.begun(call, message)

        stream = BoundedStream(wire, request.path, method.handler, self._config, on_request=on_request)
        stream.metadata = request.metadata
        call = Call(
            method=method,
            request=request,
            request_id=request.request_id or self._runtime.new_id(),
            stream=stream,
            started=self._runtime.monotonic(),
            abort=abort,
        )
        return call

    # -- the work ------------------------------------------------------------------------------------------------------

    async def _carry_out(self, call: Call) -> CallError | None:
        """Do the service's work; how it failed, or None."""
        limit = Deadline(None, "")
        try:
            limit = self._deadline(call)
            with self._slot(call.method):
                async with asyncio.timeout(limit.seconds) as call.timeout:
                    await call.method.handler.func(call.stream)
            self._check_answered(call)
        except TimeoutError as error:
            if call.timeout is None or not call.timeout.expired():
                return _unforeseen(error)
            return call.ended_for or _too_late(limit)
        except Exception as error:
            return as_call_error(error) or _unforeseen(error)
        finally:
            call.timeout = None
        return None

    def _deadline(self, call: Call) -> Deadline:
        try:
            asked = asked_s(call.request.timeout)
        except ValueError as error:
            raise refused(Refusal.MALFORMED_TIMEOUT, str(error)) from error
        return deadline(asked, streaming=call.method.streaming, config=self._config)

    def _slot(self, method: Method) -> ExitStack:
        """Room for a call, given back on leaving. Raises CallError when there is none, or no more calls are taken."""
        stack = ExitStack()
        if method.counted:
            if self._draining:
                raise draining()
            self._slots.take(streaming=method.streaming)
            stack.callback(self._slots.give_back, streaming=method.streaming)
        return stack

    def _check_answered(self, call: Call) -> None:
        stream = call.stream
        if not (call.method.handler.cardinality.server_streaming or stream.answered or stream.status):
            raise RuntimeError(f"{call.method.path} has not answered")

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _say_goodbye(self, call: Call, wire: WireStream, error: CallError | None) -> None:
        """Send the trailers, unless the service has."""
        if call.stream.status is None and not wire.connection.is_closing():
            await self._send_trailers(call, error)
        call.status = call.stream.status or Status.CANCELLED

    async def _send_trailers(self, call: Call, error: CallError | None) -> None:
        metadata = {REQUEST_ID: call.request_id}
        if error is None:
            await call.stream.send_trailing_metadata(metadata=metadata)
            return
        await call.stream.send_trailing_metadata(
            status=error.status,
            status_message=text(error.message),
            status_details=details(error, call.request_id),
            metadata=metadata,
        )

    async def _answer_http(self, wire: WireStream, error: NotGrpc, abort: Callable[[], None]) -> None:
        self.table.count_malformed(error.message)
        self._audit.malformed(wire, error.message)
        headers = [
            (":status", str(error.http_status)),
            ("content-type", "application/grpc"),
            ("grpc-status", str(Status.UNKNOWN.value)),
            ("grpc-message", error.message),
        ]
        await self._parting(wire, wire.send_headers(headers, end_stream=True), abort)

    async def _parting(self, wire: WireStream, words: Coroutine[Any, Any, None], abort: Callable[[], None]) -> None:
        """Say the last words, and close what the caller has left open of the stream."""
        try:
            async with asyncio.timeout(self._goodbye_s):
                await words
            if wire.closable:
                wire.reset_nowait()
        except TimeoutError:
            log.info("connection.stuck")
            abort()
        except StreamClosedError:
            log.debug("call.abandoned")
        except Exception:
            log.exception("call.parting_failed")
            abort()


def _unforeseen(error: Exception) -> CallError:
    log.error("call.failed", exc_info=error)
    return internal()


def _too_late(limit: Deadline) -> CallError:
    return refused(
        Refusal.DEADLINE_EXCEEDED,
        f"no answer within {limit.seconds:g} s ({limit.why})",
    )
