"""A request's headers, as gRPC over HTTP/2 has them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grpclib.metadata import decode_metadata

REQUEST_ID = "x-request-id"

_CONTENT_TYPES = frozenset({"application/grpc", "application/grpc+proto"})
# What may come back as a header and into logs.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

Headers = Sequence[tuple[str, str]]
Metadata = Any  # grpclib's own multi-dict of str and bytes


class NotGrpc(Exception):
    """The request is HTTP, but not gRPC. It is answered with an HTTP status."""

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.message = message


@dataclass(frozen=True, slots=True)
class Request:
    """What the headers say. `request_id` is None when the caller brought none that could be used."""

    path: str
    timeout: str | None
    user_agent: str | None
    request_id: str | None
    traceparent: str | None
    metadata: Metadata


def read_request(headers: Headers) -> Request:
    """The request. Raises NotGrpc when it is none."""
    found = dict(headers)
    if found.get(":method") != "POST":
        raise NotGrpc(405, "gRPC calls are POST requests")
    if found.get("content-type") not in _CONTENT_TYPES:
        raise NotGrpc(415, "the content type must be application/grpc")
    request_id = found.get(REQUEST_ID, "")
    try:
        metadata = decode_metadata(headers)
    except ValueError as error:
        raise NotGrpc(400, "binary metadata must be base64") from error
    return Request(
        path=found.get(":path", ""),
        timeout=found.get("grpc-timeout"),
        user_agent=found.get("user-agent"),
        request_id=request_id if _REQUEST_ID.fullmatch(request_id) else None,
        traceparent=found.get("traceparent"),
        metadata=metadata,
    )
