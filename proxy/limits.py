"""Limits that grpclib has none of: of a message, of one that nobody reads, and of calls at once."""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from grpclib.const import Handler, Status
from grpclib.encoding.proto import ProtoCodec, ProtoStatusDetailsCodec
from grpclib.events import _DispatchServerEvents
from grpclib.protocol import Stream as WireStream
from grpclib.server import Stream

from proxy.config import ProxyConfig
from proxy.errors import Refusal, refused
from proxy.wire import Metadata

_PREFIX = struct.Struct(">BI")  # the compressed flag and the length. Source: the gRPC over HTTP/2 specification.
_RETRY_S = 1.0
_CODEC = ProtoCodec()
_DETAILS_CODEC = ProtoStatusDetailsCodec()
_TOO_MANY = {"calls": Refusal.TOO_MANY_CALLS, "streams": Refusal.TOO_MANY_STREAMS}
_NO_LISTENERS = _DispatchServerEvents()  # grpclib's streams need one

Message = Any  # a message of the method's own type
OnRequest = Callable[[Message], Awaitable[None]]


class BoundedStream(Stream[Message, Message]):
    """grpclib's stream, which refuses a message by its prefix, before any of it has been read.

    What has come of a refused message is at most the window of its stream; the rest is never taken, and the connection
    goes on. Raises CallError for a message that is too large, compressed or malformed, and for one that is not read.
    `on_request` is awaited with the first message, before the service gets it; the service gets what that raises.
    """

    def __init__(
        self, wire: WireStream, path: str, handler: Handler, config: ProxyConfig, *, on_request: OnRequest
    ) -> None:
        super().__init__(
            wire,
            path,
            handler.cardinality,
            handler.request_type,
            handler.reply_type,
            codec=_CODEC,
            status_details_codec=_DETAILS_CODEC,
            dispatch=_NO_LISTENERS,
        )
        self._max_bytes = config.max_message_bytes
        self._stall_s = config.stall_s
        self._on_request = on_request
        self.status: Status | None = None
        """What the caller has been told, once it has been."""

    @property
    def answered(self) -> bool:
        """Whether a message has been sent."""
        return self._messages_sent > 0

    async def recv_message(self) -> Message | None:
        """The next message; None when there are no more."""
        # Between the messages of a stream of its own a caller may take its time.
        prefix = await self._read(_PREFIX.size, None if self._cardinality.client_streaming else self._stall_s)
        if not prefix:
            if self._messages_received or self._cardinality.client_streaming:
                return None
            raise refused(Refusal.MALFORMED_MESSAGE, "the call brought no message")
        compressed, size = _PREFIX.unpack(prefix)
        self._refuse_by_prefix(compressed, size)
        body = await self._read(size, self._stall_s)
        try:
            message = self._codec.decode(body, self._recv_type)
        except DecodeError as error:
            raise refused(
                Refusal.MALFORMED_MESSAGE,
                f"the message is no {self._recv_type.DESCRIPTOR.full_name}",
            ) from error
        self._messages_received += 1
        if self._messages_received == 1:
            await self._on_request(message)
        return message

    async def send_message(self, message: Message) -> None:
        """Send, and wait until the caller's window has room for it."""
        try:
            async with asyncio.timeout(self._stall_s):
                await super().send_message(message)
        except TimeoutError as error:
            raise refused(Refusal.READER_TOO_SLOW, f"the caller has not read for {self._stall_s:g} s") from error

    async def send_trailing_metadata(
        self,
        *,
        status: Status = Status.OK,
        status_message: str | None = None,
        status_details: Sequence[Message] | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        """Tell the caller how the call ended."""
        await super().send_trailing_metadata(
            status=status, status_message=status_message, status_details=status_details, metadata=metadata
        )
        self.status = status

    def _refuse_by_prefix(self, compressed: int, size: int) -> None:
        if compressed:
            raise refused(
                Refusal.COMPRESSION_UNSUPPORTED,
                "the message is compressed, which this server does not take: send it with identity encoding",
            )
        if size > self._max_bytes:
            raise refused(
                Refusal.MESSAGE_TOO_LARGE,
                f"the message has {size} bytes, and {self._max_bytes} are allowed",
                metadata={"size_bytes": str(size), "max_bytes": str(self._max_bytes)},
            )

    async def _read(self, size: int, within_s: float | None) -> bytes:
        try:
            async with asyncio.timeout(within_s):
                return await self._stream.recv_data(size)
        except TimeoutError as error:
            raise refused(Refusal.SENDER_TOO_SLOW, f"the message has not come whole within {within_s:g} s") from error
        except AssertionError as error:  # grpclib's word for a caller that ends in the middle of a message
            raise refused(Refusal.MALFORMED_MESSAGE, "the message ends before its length") from error


class Slots:
    """Room for calls. Whoever takes a slot gives it back."""

    def __init__(self, config: ProxyConfig) -> None:
        self._most = {"calls": config.max_concurrent_calls, "streams": config.max_streams}
        self._taken = {"calls": 0, "streams": 0}

    def take(self, *, streaming: bool) -> None:
        """Take room for one call. Raises CallError when there is none."""
        for what in _kinds(streaming=streaming):
            if self._taken[what] >= self._most[what]:
                raise refused(
                    _TOO_MANY[what],
                    f"{self._most[what]} {what} are at work, and no more are taken",
                    retry_after_s=_RETRY_S,
                )
        for what in _kinds(streaming=streaming):
            self._taken[what] += 1

    def give_back(self, *, streaming: bool) -> None:
        """Give it back."""
        for what in _kinds(streaming=streaming):
            self._taken[what] -= 1


def _kinds(*, streaming: bool) -> tuple[str, ...]:
    return ("calls", "streams") if streaming else ("calls",)
