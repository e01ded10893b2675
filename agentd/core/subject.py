"""What an event is about: the unit of ordering."""

import re
from typing import NamedTuple, Self

_WHOLE = re.compile(r"([^/]+)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class Subject(NamedTuple):
    """`<kind>/<uuid>`, for example `project/6f0c...`."""

    kind: str
    uuid: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<kind>/<uuid>`; ValueError says what is wrong with it."""
        if whole := _WHOLE.fullmatch(text):
            return cls(*whole.groups())
        kind, slash, _ = text.partition("/")
        if not (kind and slash):
            raise ValueError("expected <kind>/<uuid>")
        raise ValueError("expected a uuid in lower case with dashes after the slash")

    def __str__(self) -> str:
        return f"{self.kind}/{self.uuid}"
