"""What a cloud service holds, and what it held: objects that are never changed in place, by name."""

import asyncio
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Shelf(Generic[T]):
    """Objects by name, each with all of its past."""

    def __init__(self) -> None:
        self._past: dict[str, list[tuple[float, T | None]]] = {}

    def get(self, name: str, lag_s: float = 0.0) -> T | None:
        """The object, as it was so long ago."""
        past = self._past.get(name)
        if not past:
            return None
        if not lag_s:
            return past[-1][1]
        moment = asyncio.get_running_loop().time() - lag_s
        return next((value for at, value in reversed(past) if at <= moment), None)

    def all(self, lag_s: float = 0.0) -> Iterator[T]:
        """Every object, by name."""
        for name in sorted(self._past):
            value = self.get(name, lag_s)
            if value is not None:
                yield value

    def put(self, name: str, value: T | None) -> None:
        """How it is from now on; None: gone."""
        self._past.setdefault(name, []).append((asyncio.get_running_loop().time(), value))
