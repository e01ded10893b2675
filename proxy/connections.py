"""Connections: grpclib's, plus what it lacks to say goodbye and to notice that nobody is there."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from grpclib.config import Configuration
from grpclib.protocol import AbstractHandler, H2Protocol
from grpclib.protocol import Stream as WireStream
from h2.config import H2Configuration
from h2.events import Event, UnknownFrameReceived
from hyperframe.frame import GoAwayFrame

from agentd.telemetry import get_logger
from proxy.calls import Calls
from proxy.config import ProxyConfig
from proxy.wire import Headers

log = get_logger("proxy")

# What a peer may send before it is read. Requests are small; larger windows are memory for those who do not mean well.
_CONNECTION_WINDOW_BYTES = 2**20
_STREAM_WINDOW_BYTES = 2**18
_LAST_STREAM = 2**31 - 1


class _Tasks(AbstractHandler):
    """The calls of one connection, each in a task of its own."""

    def __init__(self, calls: Calls, abort: Callable[[], None]) -> None:
        self._calls = calls
        self._abort = abort
        self._tasks: dict[WireStream, asyncio.Task[None]] = {}
        self.last_stream = 0

    def accept(self, stream: WireStream, headers: Headers, release_stream: Callable[[], None]) -> None:
        self.last_stream = max(self.last_stream, stream.id or 0)
        task = asyncio.get_running_loop().create_task(
            self._calls.serve(stream, headers, self._abort), name=f"proxy call {stream.id}"
        )
        self._tasks[stream] = task

        # Not in the task itself: one that is cancelled before its first step never runs.
        def done(task: asyncio.Task[None]) -> None:
            del self._tasks[stream]
            release_stream()
            if not task.cancelled() and task.exception() is not None:
                log.error("call.escaped", exc_info=task.exception())

        task.add_done_callback(done)

    def cancel(self, stream: WireStream) -> None:
        if stream in self._tasks:
            self._tasks[stream].cancel()

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()


class _Connection(H2Protocol):
    """One connection."""

    def __init__(self, owner: "Connections", calls: Calls) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._tasks = _Tasks(calls, self.abort)
        super().__init__(self._tasks, owner.configuration, owner.h2_configuration)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self._transport = stream
        super().connection_made(transport)
        # RFC 9113, section 5.5: unknown frames are ignored. grpclib fails on them.
        self.processor.processors[UnknownFrameReceived] = _ignore
        _notice_dead_peers(stream, self._owner.dead_after_s)
        self._owner.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._owner.closed(self)

    def go_away(self, *, last_stream: int | None = None) -> None:
        """Tell the peer to open no more streams here.

        Written beside h2, whose own GOAWAY ends its connection at once. It always leaves whole frames, so none is cut.
        """
        if self._transport is not None and not self._transport.is_closing():
            last = self._tasks.last_stream if last_stream is None else last_stream
            self._transport.write(GoAwayFrame(0, last_stream_id=last).serialize())

    def finish(self) -> None:
        """Say that nothing after the last stream was looked at, and close once everything has been sent."""
        self.go_away()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, and drop what has not been sent."""
        if self._transport is not None:
            self._transport.abort()


class Connections:
    """Makes connections, and knows those that are open."""

    def __init__(self, calls: Calls, config: ProxyConfig) -> None:
        self._calls = calls
        self._most = config.max_connections
        self._open: set[_Connection] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()
        self.dead_after_s = 2 * config.keepalive_s
        self.h2_configuration = H2Configuration(client_side=False, header_encoding="latin-1")  # which no byte fails in
        self.configuration = Configuration(
            http2_connection_window_size=_CONNECTION_WINDOW_BYTES,
            http2_stream_window_size=_STREAM_WINDOW_BYTES,
            _keepalive_time=config.keepalive_s,
            _keepalive_timeout=config.keepalive_s,
            _keepalive_permit_without_calls=True,
            _http2_max_pings_without_data=0,
            _http2_min_sent_ping_interval_without_data=config.keepalive_s / 2,
        )

    def __len__(self) -> int:
        return len(self._open)

    def make(self) -> H2Protocol:
        """The protocol of a connection that has been accepted."""
        return _Connection(self, self._calls)

    def opened(self, connection: _Connection) -> None:
        """A connection stands; one too many is closed at once."""
        self._open.add(connection)
        self._none_open.clear()
        if len(self._open) > self._most:
            log.warning("connection.refused", open=len(self._open) - 1, most=self._most)
            connection.abort()

    def closed(self, connection: _Connection) -> None:
        """A connection has gone."""
        self._open.discard(connection)
        if not self._open:
            self._none_open.set()

    def go_away(self) -> None:
        """Tell every peer to open its next streams elsewhere. Those that are open go on."""
        for connection in self._open:
            connection.go_away(last_stream=_LAST_STREAM)

    async def close(self, *, within_s: float) -> None:
        """Close all; those that have not taken what was left to send in time are dropped."""
        for connection in self._open:
            connection.finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._none_open.wait()
        for connection in set(self._open):
            connection.abort()
        await self._none_open.wait()


def _notice_dead_peers(transport: asyncio.Transport, after_s: float) -> None:
    """Have the kernel close a connection whose peer takes nothing of what was sent: pings wait behind it for ever."""
    sock = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux alone
    if sock is not None and option is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
        sock.setsockopt(socket.IPPROTO_TCP, option, round(after_s * 1000))


def _ignore(_event: Event) -> None:
    return
