"""What a shared variable may be. Shared by all adapters."""

import json
import re

from agentd.ledger.protocol import Json

MOST_VARIABLES = 1000
"""Variables in one answer."""

_NAME = re.compile(r"[A-Za-z0-9._/:-]{1,200}")
_MOST_BYTES = 16 * 1024


def check_name(name: str) -> str:
    """The name. ValueError: it is none."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"variable {name!r}: expected 1 to 200 characters of A-Z a-z 0-9 . _ / : -")
    return name


def value_text(value: Json) -> str | None:
    """The value as JSON; None for None, which unsets the variable. ValueError or TypeError: it is no JSON, or too large."""
    if value is None:
        return None
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    if len(text) > _MOST_BYTES:
        raise ValueError(f"a variable's value: found {len(text)} bytes of JSON; at most {_MOST_BYTES} are kept")
    return text
