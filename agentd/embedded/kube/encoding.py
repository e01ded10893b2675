"""Objects as bytes. What is stored is encoded once, without its kind, so that every version and every list can use it."""

import json

from agentd.embedded.kube.kinds import Kind
from agentd.embedded.kube.objects import Json, ObjectView
from agentd.embedded.kube.store import Stored


def dump(value: Json) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def encode(kind: Kind, item: ObjectView) -> bytes:
    """The object in the version that was asked for."""
    return b'{"kind":"%s","apiVersion":"%s",' % (kind.kind.encode(), kind.api_version.encode()) + _bare(item)[1:]


def encode_list(kind: Kind, items: list[ObjectView], metadata: ObjectView) -> bytes:
    """A list. Items of built-in kinds do not say what they are, as the API has it."""
    head = {"kind": kind.listed_as, "apiVersion": kind.api_version, "metadata": metadata}
    shown = (encode(kind, item) if kind.custom else _bare(item) for item in items)
    return dump(head)[:-1] + b',"items":[' + b",".join(shown) + b"]}"


def encode_event(event: str, encoded: bytes) -> bytes:
    """A line of a watch."""
    return b'{"type":"%s","object":' % event.encode() + encoded + b"}\n"


def _bare(item: ObjectView) -> bytes:
    if isinstance(item, Stored) and item.encoded is not None:
        return item.encoded
    encoded = dump({name: value for name, value in item.items() if name not in ("kind", "apiVersion")})
    if isinstance(item, Stored):
        item.encoded = encoded
    return encoded
