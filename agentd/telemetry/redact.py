"""Keeps secrets out of what people and log stores get to read.

Values go by the name of their key, texts by what secrets look like. When in doubt a harmless word is hidden: a false
alarm costs a look elsewhere, a leak costs a rotation.
"""

import math
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

REDACTED = "[redacted]"
MOST_CHARACTERS = 4096
_MOST_SCANNED = 16 * MOST_CHARACTERS
_MOST_ITEMS = 50
_MOST_DEPTH = 6

_SECRET_WORD = (
    r"passw(?:or)?d|passwd|passphrase|secret|token|authorization|credential|cookie|"  # noqa: S105 - names of secrets
    r"private[_-]?key|session[_-]?key|api[_-]?key|access[_-]?key(?![_-]?id)|x-amz-signature"
)
_SECRET_KEY = re.compile(_SECRET_WORD, re.IGNORECASE)
# Numbers under such a key are counters: a fencing token, a token count.
_COUNTED_KEY = re.compile(r"tokens?$", re.IGNORECASE)

# Texts come from outside, so every pattern is linear: possessive or bounded where it could go back over what it has read.
_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REDACTED),
    # user:pass@ in a URL
    (re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+@"), f"{REDACTED}@"),
    # HTTP authorization
    (re.compile(r"\b(bearer|basic|digest)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # name=value and "name": "value", as in query strings, headers and printed objects
    (
        re.compile(
            rf"((?:{_SECRET_WORD})[\w-]{{0,64}}+[\"']?\s{{0,8}}+[=:]\s{{0,8}}+[\"']?)"
            rf"(?!{re.escape(REDACTED)}|bearer|basic|digest)[^\s\"',;&}})\]]++",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    # connection strings and signed URLs of Azure Storage
    (re.compile(r"((?:AccountKey|SharedAccessSignature|sig)=)[^;&\s]++", re.IGNORECASE), rf"\1{REDACTED}"),
    # JSON web tokens, detached ones included
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*"), REDACTED),
    # AWS session tokens
    (re.compile(r"\b(?:IQoJ|FwoG|FQoG)[A-Za-z0-9/+=]{20,}"), REDACTED),
    # AWS secret access keys: 40 characters of base64 with both cases and a digit, which a hex digest has not
    (
        re.compile(
            r"(?<![A-Za-z0-9/+=_.-])(?=[^\s]{0,39}[a-z])(?=[^\s]{0,39}[A-Z])(?=[^\s]{0,39}[0-9])"
            r"[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=_-])"
        ),
        REDACTED,
    ),
)
# No pattern above can match a text without one of these; most texts have none.
_SUSPICIOUS = re.compile(
    rf"PRIVATE KEY|://|bearer|basic|digest|eyJ|AccountKey|SharedAccessSignature|sig=|{_SECRET_WORD}|[A-Za-z0-9/+=]{{24}}",
    re.IGNORECASE,
)
# Ids, types, digests, names and reasons are of these letters alone, and nothing above can match any such text.
_PLAIN = re.compile(r"(?:sha256:)?[a-z0-9._/-]*")


@lru_cache(maxsize=1024)
def names_secret(key: str) -> bool:
    """Whether a value under this key is to be hidden."""
    return _SECRET_KEY.search(key) is not None


@lru_cache(maxsize=1024)
def _name_secrets(keys: tuple[str, ...]) -> bool:
    """Whether a value under any of these keys is to be hidden. Lines of one kind have the same keys."""
    return any(map(names_secret, keys))


def redact_text(text: str, *, most: int = MOST_CHARACTERS) -> str:
    """The text without what looks like a secret, and cut to `most` characters with a note of what was left out."""
    if len(text) <= most and _PLAIN.fullmatch(text):
        return text
    scanned = _readable(text[:_MOST_SCANNED])
    if _SUSPICIOUS.search(scanned):
        for pattern, replacement in _TEXTS:
            scanned = pattern.sub(replacement, scanned)
    if len(scanned) <= most and len(text) <= _MOST_SCANNED:
        return scanned
    return f"{scanned[:most]}... [{len(text)} characters]"


def harmless(values: Mapping[str, object]) -> bool:
    """Whether `redact_value` would leave all of them as they are, by a quick look: true of most lines of a log."""
    texts = []
    for value in values.values():
        if isinstance(value, str):
            texts.append(value)
        elif not (value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))):
            return False
    text = "".join(texts)
    return len(text) <= MOST_CHARACTERS and _PLAIN.fullmatch(text) is not None and not _name_secrets(tuple(values))


def redact_value(key: str, value: object, *, depth: int = 0) -> object:
    """The value as plain JSON with bounded size, secrets hidden. `key` is the name that it goes by."""
    if value is None or isinstance(value, bool):
        return value
    if names_secret(key) and not (isinstance(value, int | float) and _COUNTED_KEY.search(key)):
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, int | float):
        return value if math.isfinite(value) else str(value)
    return _redact_other(key, value, depth)


def _redact_other(key: str, value: object, depth: int) -> object:
    if depth < _MOST_DEPTH:
        if isinstance(value, Mapping):
            shown = list(value.items())[:_MOST_ITEMS]
            return {_readable(str(name)): redact_value(str(name), item, depth=depth + 1) for name, item in shown}
        if isinstance(value, AbstractSet):
            value = sorted(value, key=str)
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
            return [redact_value(key, item, depth=depth + 1) for item in value[:_MOST_ITEMS]]
    return redact_text(str(value))


def _readable(text: str) -> str:
    """The text as what any encoder takes: half of a surrogate pair is no character."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
