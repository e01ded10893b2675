"""What a request must be before it is carried out."""

import re

from proxy.errors import Refusal, Violation, refused

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOST_SHOWN = 40


class Check:
    """Collects everything that is wrong with a request, so that its caller is told of it at once."""

    def __init__(self) -> None:
        self._violations: list[Violation] = []

    def uuid(self, field: str, value: str) -> None:
        """The field is a UUID in lower case."""
        self.that(_UUID.fullmatch(value) is not None, field, f"found {_shown(value)}, must be a UUID in lower case")

    def length(self, field: str, value: str, *, least: int = 0, most: int) -> None:
        """The field has so many characters."""
        self.that(least <= len(value) <= most, field, f"has {len(value)} characters, must have {least} to {most}")

    def between(self, field: str, value: int, *, least: int = 0, most: int) -> None:
        """The field is a number of that range."""
        self.that(least <= value <= most, field, f"found {value}, must be from {least} to {most}")

    def that(self, good: bool, field: str, description: str) -> None:
        """The field is as described unless `good`."""
        if not good:
            self._violations.append(Violation(field, description))

    def done(self) -> None:
        """Raises CallError when anything was wrong."""
        if self._violations:
            first = self._violations[0]
            raise refused(
                Refusal.INVALID_ARGUMENT,
                f"{first.field}: {first.description}",
                violations=self._violations,
            )


def _shown(value: str) -> str:
    return repr(value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}...")
