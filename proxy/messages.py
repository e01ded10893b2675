"""Small conversions between what rooms below say and what messages hold."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.server import Stream

Message = Any  # a message of the method's own type


async def request_of(stream: Stream[Message, Any]) -> Message:
    """The one message of a call whose caller sends just one."""
    message = await stream.recv_message()
    if message is None:
        raise RuntimeError("a call without a message should have been refused")
    return message


def timestamp(seconds: float | None) -> Timestamp | None:
    """Seconds since the epoch, to the microsecond; nothing for None."""
    if seconds is None:
        return None
    found = Timestamp()
    found.FromMicroseconds(round(seconds * 1_000_000))
    return found


def timestamp_of_text(text: str | None) -> Timestamp | None:
    """A time of the Kubernetes API (RFC 3339); nothing for None."""
    return None if text is None else timestamp(datetime.fromisoformat(text).astimezone(UTC).timestamp())


def duration(seconds: float | None) -> Duration | None:
    """A length of time, to the microsecond; nothing for None."""
    if seconds is None:
        return None
    found = Duration()
    found.FromMicroseconds(round(seconds * 1_000_000))
    return found
