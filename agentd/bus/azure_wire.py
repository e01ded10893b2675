"""Messages as an Azure Storage Queue keeps them: one text, without attributes. Pure functions.

A body without attributes is the text itself, so that a plain CloudEvent is what any sender writes and any reader reads.
With attributes it is an envelope: a first line `agentd-attributes: {"name":"value"}`, then the body as it is. What is too
large, or what XML would change on its way (a carriage return), is packed: `agentd-packed: `, and the envelope deflated
(zlib) in base64. What a sender has put into base64 as a whole (Event Grid and older SDKs do) is read as well.
"""

import base64
import binascii
import json
import re
import zlib
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from agentd.bus.protocol import Outgoing, Received

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage

MAX_BYTES = 65_536
MAX_BATCH = 32

_ATTRIBUTES = "agentd-attributes: "
_PACKED = "agentd-packed: "
_BASE64 = re.compile(r"[A-Za-z0-9+/]{4,}={0,2}")
_MOST_UNPACKED = 1_048_576  # sixteen times what a message can hold: an envelope that grows more is not ours
_SEPARATOR = "/"


def size_of(message: Outgoing) -> int:
    """Bytes of the text as it travels, in XML: how the service counts `<`, `>` and `&` is not documented."""
    return _travelling(text_of(message))


def text_of(message: Outgoing) -> str:
    """The text that `content_of` reads as this body and these attributes."""
    body, attributes = message.body, message.attributes
    if content_of(body) == (body, attributes) and _travels(body):
        return body
    envelope = f"{_ATTRIBUTES}{json.dumps(attributes, ensure_ascii=False, separators=(',', ':'))}\n{body}"
    if _travels(envelope):
        return envelope
    return _PACKED + base64.b64encode(zlib.compress(envelope.encode())).decode()


def content_of(text: str) -> tuple[str, dict[str, str]]:
    """Body and attributes. A text that is no message of ours is a body, whatever it looks like."""
    if text.startswith(_PACKED):
        return _enveloped(_unpacked(text)) or (text, {})
    if text.startswith(_ATTRIBUTES):
        return _enveloped(text) or (text, {})
    return _decoded(text) or text, {}


def received(message: "QueueMessage") -> Received:
    """A message as the queue hands it out."""
    body, attributes = content_of(message.content or "")
    return Received(
        message_id=message.id,
        receipt=receipt_of(message.id, message.pop_receipt or ""),
        body=body,
        receive_count=message.dequeue_count or 1,
        sent_at=message.inserted_on.timestamp() if message.inserted_on else None,
        group=None,
        attributes=attributes,
        expires_at=message.expires_on.timestamp() if message.expires_on else None,
    )


def receipt_of(message_id: str, pop_receipt: str) -> str:
    """Both are needed to name a message that is held."""
    return f"{message_id}{_SEPARATOR}{pop_receipt}"


def receipt_parts(receipt: str) -> tuple[str, str] | None:
    """Message id and pop receipt; None for what no queue of this kind has handed out."""
    message_id, _, pop_receipt = receipt.partition(_SEPARATOR)
    return (message_id, pop_receipt) if message_id and pop_receipt else None


def _travels(text: str) -> bool:
    return "\r" not in text and _travelling(text) <= MAX_BYTES


def _travelling(text: str) -> int:
    return len(escape(text).encode())


def _enveloped(text: str) -> tuple[str, dict[str, str]] | None:
    head, newline, body = text.partition("\n")
    if not newline or not head.startswith(_ATTRIBUTES):
        return None
    try:
        found = json.loads(head.removeprefix(_ATTRIBUTES))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        return None
    return body, found


def _unpacked(text: str) -> str:
    """The envelope; nothing when there is none in it."""
    inflater = zlib.decompressobj()
    try:
        envelope = inflater.decompress(base64.b64decode(text.removeprefix(_PACKED), validate=True), _MOST_UNPACKED)
        return envelope.decode() if inflater.eof else ""
    except (binascii.Error, zlib.error, UnicodeDecodeError):
        return ""


def _decoded(text: str) -> str | None:
    """The JSON object behind base64; None when it is none. No JSON object is itself base64: that knows no brace."""
    if not _BASE64.fullmatch(text):
        return None
    try:
        found = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return found if found.startswith("{") else None
