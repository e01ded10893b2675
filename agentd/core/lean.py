"""Dataclasses for what every event makes many of."""

from typing import TYPE_CHECKING, Any

__all__ = ["lean"]

if TYPE_CHECKING:
    from dataclasses import dataclass as lean
else:
    from dataclasses import dataclass

    def lean(*, frozen: bool, slots: bool) -> Any:  # noqa: ANN401 - a decorator of any class
        """A dataclass that the type checker alone keeps frozen: one that Python keeps so takes thrice as long to make."""
        return dataclass(slots=slots, unsafe_hash=frozen)
