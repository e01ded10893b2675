"""What an event is about: the unit of ordering."""

import re
from dataclasses import dataclass
from typing import Self

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


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
        if not _UUID.fullmatch(uuid):
            raise ValueError("expected a uuid in lower case with dashes after the slash")
        return cls(kind, uuid)

    def __str__(self) -> str:
        return f"{self.kind}/{self.uuid}"
