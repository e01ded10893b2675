"""A client of nothing but frames: does what no gRPC library would, and sees what none shows."""

import asyncio
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import h2.events
from h2.config import H2Configuration
from h2.connection import H2Connection
from hyperframe.frame import Frame, GoAwayFrame

HEADERS = (
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "proxy"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)


def framed(body: bytes, *, compressed: bool = False, length: int | None = None) -> bytes:
    """A message as gRPC sends it; `length` is what its prefix says."""
    return struct.pack(">BI", compressed, len(body) if length is None else length) + body


class RawClient:
    """One connection. Grants no window beyond the first 64 KiB unless told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self.headers: dict[int, dict[str, str]] = {}
        self.trailers: dict[int, dict[str, str]] = {}
        self.data: defaultdict[int, bytes] = defaultdict(bytes)
        self.goaways: list[tuple[int, int]] = []
        """(error code, last stream) of each."""
        self.closed = False
        self.granting = False

    def flush(self) -> None:
        """Send what waits."""
        self.writer.write(self.h2.data_to_send())

    def begin(
        self, path: str, *more: tuple[str, str], end: bool = False, headers: Sequence[tuple[str, str]] = HEADERS
    ) -> int:
        """Open a stream with a call's headers."""
        stream_id = self.h2.get_next_available_stream_id()
        pairs = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in _ordered(headers, path, more)]
        self.h2.send_headers(stream_id, pairs, end_stream=end)
        self.flush()
        return stream_id

    def send(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """Send data on a stream, as far as one frame goes."""
        self.h2.send_data(stream_id, data, end_stream=end)
        self.flush()

    def call(self, path: str, body: bytes, *more: tuple[str, str]) -> int:
        """A whole call with one message."""
        stream_id = self.begin(path, *more)
        self.send(stream_id, framed(body), end=True)
        return stream_id

    def write(self, frame: Frame) -> None:
        """Send a frame beside the protocol."""
        self.writer.write(frame.serialize())

    async def read(self) -> None:
        """Take in what comes next."""
        data = await self.reader.read(65536)
        if not data:
            self.closed = True
            return
        for event in self._events(data):
            self._take(event)
        self.flush()

    async def ended(self, stream_id: int) -> dict[str, str]:
        """The trailers of a stream, once they are there."""
        while stream_id not in self.trailers:
            await self.read()
            assert not self.closed, "the connection was closed before the call had ended"
        return self.trailers[stream_id]

    async def until_closed(self) -> None:
        """Read until the other side closes."""
        while not self.closed:
            await self.read()

    def messages(self, stream_id: int) -> list[bytes]:
        """The messages that have come whole."""
        found, data = [], self.data[stream_id]
        while len(data) >= 5 and len(data) >= 5 + (size := struct.unpack(">xI", data[:5])[0]):
            found.append(data[5 : 5 + size])
            data = data[5 + size :]
        return found

    def _events(self, data: bytes) -> list[h2.events.Event]:
        # h2 ends its connection at a GOAWAY, which a client that goes on must not: they are taken out before.
        rest, plain = data, b""
        while len(rest) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(rest[:9]))
            if len(rest) < 9 + length:
                break
            if isinstance(frame, GoAwayFrame):
                frame.parse_body(memoryview(rest[9 : 9 + length]))
                self.goaways.append((frame.error_code, frame.last_stream_id))
            else:
                plain += rest[: 9 + length]
            rest = rest[9 + length :]
        return self.h2.receive_data(plain + rest)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(headers=headers, stream_id=stream_id):
                self.headers[stream_id] = _text(headers)
                if event.stream_ended is not None:
                    self.trailers[stream_id] = _text(headers)
            case h2.events.TrailersReceived(headers=headers, stream_id=stream_id):
                self.trailers[stream_id] = _text(headers)
            case h2.events.DataReceived(data=data, stream_id=stream_id, flow_controlled_length=length):
                self.data[stream_id] += data
                if self.granting and length:
                    self.h2.acknowledge_received_data(length, stream_id)
            case _:
                return

    def grant(self, stream_id: int) -> None:
        """Give back the window that has been used, and go on doing so."""
        self.granting = True
        self.h2.acknowledge_received_data(len(self.data[stream_id]), stream_id)
        self.flush()


def _text(headers: Iterable[tuple[bytes | str, bytes | str]]) -> dict[str, str]:
    return {str(key): str(value) for key, value in headers}


def _ordered(headers: Sequence[tuple[str, str]], path: str, more: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    pseudo = [pair for pair in headers if pair[0].startswith(":")]
    return [*pseudo, (":path", path), *(pair for pair in headers if pair not in pseudo), *more]


@asynccontextmanager
async def raw_client(port: int | None) -> AsyncIterator[RawClient]:
    """A connection whose settings have been exchanged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = RawClient(reader, writer)
    client.h2.initiate_connection()
    client.flush()
    try:
        yield client
    finally:
        writer.close()
