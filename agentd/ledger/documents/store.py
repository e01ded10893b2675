"""The port behind the ledger: a store of small documents that are written together, on condition, or not at all."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Conflicted(Exception):
    """Something is not as it was read. Nothing has been written: read again, decide again."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a document is: by name in a partition. Both are made of A-Z a-z 0-9 . _ / : ~ and -, at most 400 of them."""

    partition: str
    name: str


class Expected(Enum):
    """What a change may expect in place of a version."""

    ABSENT = "absent"
    ANYTHING = "anything"
    """Or nothing: whoever writes knows that nobody else does."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it is. `version` is what a condition names, `written_by` the id of the write that it is from."""

    place: Place
    version: str
    written_by: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Put:
    """Make the document, or replace it."""

    place: Place
    body: bytes
    expected: str | Expected


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the document. One that is not there is no fault, unless a version is expected."""

    place: Place
    expected: str | Expected


Change = Put | Delete


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What the store can take. `shards` is over how many partitions a list is spread whose order does not matter."""

    changes: int
    body_bytes: int
    shards: int


class DocumentStore(Protocol):
    """Reads see every write that has been answered. Raises TransientError(unavailable or throttled) and PermanentError."""

    @property
    def limits(self) -> StoreLimits:
        """The store's own."""
        ...

    async def get(self, places: Collection[Place]) -> Mapping[Place, Stored]:
        """Those documents that are there; each as it was at some moment of the call, which is not the same for all."""
        ...

    async def range(
        self, partition: str, *, first: str = "", before: str | None = None, limit: int | None = None
    ) -> Sequence[Stored]:
        """Documents of a partition in the order of their names' characters."""
        ...

    async def write(self, changes: Sequence[Change], write_id: str) -> None:
        """All changes or none, each to another document. Conflicted: one was not as expected.

        The same write may be carried out twice when the first answer was lost; the second is then Conflicted, or changes nothing.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
