"""What has been told of a kind of state, kept in the ledger for whoever watches next.

A replica that takes a kind over lists everything anyway, for a state is told whole. What it needs beside that is what its
predecessor has told: what is equal is not told again, and what has gone meanwhile is told as gone, however long ago. A
stored resourceVersion would do the second alone, and only for as long as the API server keeps its history (5 minutes).
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from itertools import accumulate
from zlib import crc32

from agentd.core import Reason, TransientError
from agentd.ledger import Ledger
from agentd.reconcile.watchers.views import Json

_BUCKETS = 64
_MOST_BYTES = 14 * 1024  # of 16 KiB that a variable may have; subjects beyond are told again by the next replica
_TRIES = 5


class Memory:
    """Digests of what was told, by subject. What a replica writes down late does not replace what a later term has."""

    def __init__(self, ledger: Ledger, kind: str) -> None:
        self._ledger = ledger
        self._prefix = f"state/{kind}"
        self._term = 0
        self._told: dict[str, str] = {}
        self._unsaved: set[int] = set()

    async def load(self) -> int:
        """Read what was told, and begin a term; its number is larger than that of all before."""
        self._term = await self._next_term()
        buckets = await self._ledger.variables(f"{self._prefix}/told/")
        self._told = {subject: digest for bucket in buckets.values() for subject, digest in bucket.value[1].items()}
        self._unsaved.clear()
        return self._term

    async def _next_term(self) -> int:
        name = f"{self._prefix}/term"
        for _ in range(_TRIES):
            found = await self._ledger.variable(name)
            term = 1 if found is None else found.value + 1
            if await self._ledger.set_variable(name, term, version=None if found is None else found.version):
                return term
        raise TransientError(Reason.UNAVAILABLE, f"others were faster {_TRIES} times to begin a term of {self._prefix}")

    def subjects(self) -> frozenset[str]:
        """Those that were told of, and not that they are gone."""
        return frozenset(self._told)

    def has(self, subject: str, digest: str | None) -> bool:
        """Whether this is what was told last; None stands for gone."""
        return self._told.get(subject) == digest

    def note(self, subject: str, digest: str | None) -> None:
        """It has been told."""
        if digest is None:
            self._told.pop(subject, None)
        else:
            self._told[subject] = digest
        self._unsaved.add(_bucket(subject))

    async def save(self) -> None:
        """Write down what has been noted since the last time."""
        for bucket in sorted(self._unsaved):
            name = f"{self._prefix}/told/{bucket:02}"
            told = {subject: digest for subject, digest in self._told.items() if _bucket(subject) == bucket}
            found = await self._ledger.variable(name)
            if found is not None and found.value[0] > self._term:
                self._unsaved.discard(bucket)
                continue
            value = [self._term, _fitting(told)] if told else None
            if await self._ledger.set_variable(name, value, version=None if found is None else found.version):
                self._unsaved.discard(bucket)


def digest_of(content: Mapping[str, Json]) -> str:
    """Of a state; short, as it is kept by the thousand."""
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _fitting(told: Mapping[str, str]) -> Mapping[str, str]:
    """Those that one variable has room for."""
    sizes = accumulate(len(subject) + len(digest) + 6 for subject, digest in told.items())
    return {subject: told[subject] for subject, size in zip(told, sizes, strict=True) if size <= _MOST_BYTES}


def _bucket(subject: str) -> int:
    return crc32(subject.encode()) % _BUCKETS
