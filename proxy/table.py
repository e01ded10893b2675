"""Every call at work on this replica: counted, logged, waited for, and cut short."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from grpclib.const import Status
from grpclib.protocol import Peer

from agentd.core import Runtime
from agentd.telemetry import Metrics, get_logger
from proxy.errors import CallError, Refusal, refused
from proxy.limits import BoundedStream
from proxy.routes import UNKNOWN, Method
from proxy.wire import Request

log = get_logger("proxy")

_RETRY_ELSEWHERE_S = 1.0


@dataclass(slots=True, eq=False)
class Call:
    """One call at work. `timeout` is set while its service works; `ended_for` once that has been cut short.

    `status` is what the caller is told; CANCELLED while it has not been told anything, as it may go at any time. `about` are
    the ids and names in its request.
    """

    method: Method
    request: Request
    request_id: str
    stream: BoundedStream
    started: float
    abort: Callable[[], None]
    status: Status = Status.CANCELLED
    reason: str | None = None
    about: Mapping[str, object] = field(default_factory=dict)
    timeout: asyncio.Timeout | None = None
    ended_for: CallError | None = None

    @property
    def caller(self) -> str | None:
        """Who calls."""
        return caller_of(self.stream.peer)


class CallTable:
    """The calls at work. `add` and `remove` frame each."""

    def __init__(self, methods: Iterable[Method], runtime: Runtime, metrics: Metrics) -> None:
        self._runtime = runtime
        self._metrics = metrics
        self._calls: set[Call] = set()
        self._changed = asyncio.Event()
        for method in methods:
            if method.streaming:
                metrics.proxy_streams.labels(method.service, method.name).set(0)

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> None:
        """A call has begun."""
        self._calls.add(call)
        if call.method.streaming:
            self._metrics.proxy_streams.labels(call.method.service, call.method.name).inc()

    def remove(self, call: Call) -> None:
        """A call has ended, and its caller knows how, or has gone."""
        self._calls.discard(call)
        self._changed.set()
        method, code = call.method, call.status.name
        duration_s = self._runtime.monotonic() - call.started
        self._metrics.proxy_calls.labels(method.service, method.name, code).inc()
        if method.streaming:
            self._metrics.proxy_streams.labels(method.service, method.name).dec()
        else:
            self._metrics.proxy_call_duration.labels(method.service, method.name).observe(duration_s)
        (log.debug if method.quiet else log.info)(
            "call.done",
            service=method.service,
            method=method.name,
            code=code,
            reason=call.reason,
            duration_s=round(duration_s, 6),
            caller=call.caller,
            user_agent=call.request.user_agent,
        )

    def count_malformed(self, why: str) -> None:
        """A request was no gRPC call at all."""
        self._metrics.proxy_calls.labels(UNKNOWN.service, UNKNOWN.name, Status.UNKNOWN.name).inc()
        log.info("call.malformed", error=why)

    def cut_short(self) -> None:
        """End the work of every call now; its caller is told that another replica may do it."""
        now = asyncio.get_running_loop().time()
        for call in self._calls:
            if call.timeout is not None and not call.timeout.expired():
                call.ended_for = draining()
                call.timeout.reschedule(now)

    async def finished(self) -> None:
        """Wait until every call has ended that ends by itself."""
        await self._until(lambda: all(call.method.endless for call in self._calls))

    async def gone(self) -> None:
        """Wait until every call has ended."""
        await self._until(lambda: not self._calls)

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._changed.clear()
            await self._changed.wait()


def draining() -> CallError:
    """What a caller is told by a replica that stops."""
    return refused(
        Refusal.DRAINING,
        "this replica is stopping: call again, and another one answers",
        retry_after_s=_RETRY_ELSEWHERE_S,
    )


def caller_of(peer: Peer) -> str | None:
    """Who calls: the common name of its certificate, else its address."""
    certificate = peer.cert() or {}
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    address = peer.addr()
    return None if not address else f"{address[0]}:{address[1]}"
