"""Pages, as the Google API design guide has them: a size, and an opaque token for where the next one begins.

A token holds the sort key of the last item that was given, so that pages need no memory on this side, and any replica
goes on where another one stopped.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from proxy.validation import Check

T = TypeVar("T")

Key = tuple[float | str, ...]
_MOST_TOKEN = 1024
_MOST_ASKED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Paging:
    """How a list is cut: `default` items when the caller does not say, never more than `most`."""

    default: int
    most: int
    key: tuple[type[float | str], ...]
    """Types of the sort key's parts."""

    def begin(self, page_size: int, page_token: str, check: Check) -> "Page":
        """The page that is asked for. What is wrong with it goes to `check`, which the caller concludes."""
        check.between("page_size", page_size, most=_MOST_ASKED)
        after = self._read(page_token)
        check.that(after is not None, "page_token", "must be empty, or the next_page_token of an earlier answer")
        return Page(size=min(page_size, self.most) if page_size > 0 else self.default, after=after or ())

    def _read(self, token: str) -> Key | None:
        """The key in the token; nothing for an empty token, None for one that is not from here."""
        if not token:
            return ()
        try:
            parts = json.loads(base64.urlsafe_b64decode(token)) if len(token) <= _MOST_TOKEN else None
        except (ValueError, binascii.Error, RecursionError):
            return None
        if not isinstance(parts, list) or [type(part) for part in parts] != list(self.key):
            return None
        return tuple(parts)


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is asked for: so many items, those with a key above `after`."""

    size: int
    after: Key

    def of(self, items: Sequence[T], key: Callable[[T], Key]) -> "Cut[T]":
        """Cut it out of all items."""
        rest = sorted((item for item in items if key(item) > self.after), key=key)
        page = rest[: self.size]
        token = ""
        if len(rest) > len(page):
            token = base64.urlsafe_b64encode(json.dumps(key(page[-1])).encode()).decode()
        return Cut(page, token)


@dataclass(frozen=True, slots=True)
class Cut(Generic[T]):
    """One page of items, and the token of the next one; empty when there is none."""

    items: Sequence[T]
    next_page_token: str
