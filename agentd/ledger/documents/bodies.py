"""Documents as bytes. A large one is kept in parts of its own, and the document itself only says where they are."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from agentd.ledger.protocol import Json

INLINE_BYTES = 24 * 1024
"""Above it a body is kept in parts. A transaction of a hundred documents then fits into the 4 MiB that both stores allow."""

_WHOLE = b"w"
_PARTS = b"p"


@dataclass(frozen=True, slots=True)
class Parts:
    """A body that is kept elsewhere: under which id, and in how many pieces."""

    id: str
    count: int


def encoded(document: Json) -> bytes:
    """The document, compressed. TypeError or ValueError: it is no JSON."""
    # Escaped, so that a lone surrogate comes through unharmed.
    return zlib.compress(json.dumps(document, allow_nan=False, separators=(",", ":")).encode("ascii"))


def decoded(content: bytes) -> Json:
    """What was encoded."""
    return json.loads(zlib.decompress(content))


def whole_body(content: bytes) -> bytes:
    """The body of a document that is kept in one."""
    return _WHOLE + content


def parts_body(parts: Parts) -> bytes:
    """The body of one whose content is kept in parts."""
    return _PARTS + f"{parts.id} {parts.count}".encode("ascii")


def read_body(body: bytes) -> bytes | Parts:
    """The content, or where its parts are."""
    if body.startswith(_WHOLE):
        return body[1:]
    name, _, count = body[1:].decode("ascii").partition(" ")
    return Parts(name, int(count))


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    """The content in pieces of at most so many bytes."""
    return (content[start : start + size] for start in range(0, len(content), size))
