"""What an event is about: the unit of ordering."""

from dataclasses import dataclass
from typing import Self
from uuid import UUID


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """`<kind>/<uuid>`, for example `project/6f0c...`."""

    kind: str
    uuid: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<kind>/<uuid>`; ValueError says what is wrong with it."""
        kind, slash, uuid = text.partition("/")
        if not (kind and slash):
            raise ValueError("expected <kind>/<uuid>")
        if str(UUID(uuid)) != uuid:
            raise ValueError("the uuid is not in lower case with dashes")
        return cls(kind, uuid)

    def __str__(self) -> str:
        return f"{self.kind}/{self.uuid}"
