"""What an entry says, as JSON without secrets. Pure.

Facts are ids, types, digests and names, so nearly all of them are plainly harmless; those alone skip the search for secrets,
which costs more than all the rest of an entry.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from agentd.telemetry import harmless, names_secret, redact_value

Json = Any  # a JSON value whose shape is its writer's own

MOST_BYTES = 16 * 1024
_MOST_FACTS = 50
_MOST_KEPT = 256


# None of what `redact_text` looks for can be in such a text; a test holds the two together.
_PLAIN = re.compile(r"(?:sha256:)?[a-z0-9._/-]{0,256}")
_HINTS = (
    *("pass", "secret", "token", "authorization", "credential", "cookie", "key", "signature"),
    *("://", "bearer", "basic", "digest", "eyj"),
)
_LONG_WORD = re.compile(r"[A-Za-z0-9/+=]{24}")
_MOST_LOOKED_AT = 1024


def redacted(facts: Mapping[str, Json]) -> bytes:
    """The facts as one JSON object of bounded size; those that are None are left out."""
    told = {name: value for name, value in facts.items() if value is not None}
    if not harmless(told):
        told = {name: _told(name, value) for name, value in told.items()}
    text = encode(told)
    return text if len(text) <= MOST_BYTES else encode(_shortened(told))


def encode(facts: Mapping[str, Json]) -> bytes:
    """JSON as the log has it: on one line, members in the order given."""
    try:
        return to_json(facts)
    except PydanticSerializationError:
        # Text that UTF-8 cannot carry (lone surrogates) is kept with escapes in its place.
        return json.dumps(facts, separators=(",", ":"), allow_nan=False).encode()


def plain_text(text: str) -> bool:
    """Whether the text is plainly without secrets."""
    if _PLAIN.fullmatch(text):
        return True
    if len(text) > _MOST_LOOKED_AT or not text.isascii():
        return False
    lowered = text.lower()
    return not any(hint in lowered for hint in _HINTS) and _LONG_WORD.search(text) is None


def _told(name: str, value: Json) -> Json:
    if isinstance(value, str) and plain_text(value) and not _secret(name):
        return value
    if type(value) is int and not _secret(name):
        return value
    return redact_value(name, value)


@lru_cache(maxsize=1024)
def _secret(name: str) -> bool:
    return names_secret(name)


def _shortened(told: Mapping[str, Json]) -> Mapping[str, Json]:
    sizes = {name: len(encode(value)) for name, value in list(told.items())[:_MOST_FACTS]}
    return {name: told[name] if size <= _MOST_KEPT else f"[{size} characters left out]" for name, size in sizes.items()}
