"""The adapters that handlers are given."""

from collections.abc import Mapping
from typing import TypeVar

from agentd.core import PermanentError, Reason

P = TypeVar("P")


class Ports:
    """The adapters behind the ports, by the port's class."""

    def __init__(self, adapters: Mapping[type, object]) -> None:
        self._adapters = dict(adapters)

    def __contains__(self, kind: object) -> bool:
        return kind in self._adapters

    def get(self, kind: type[P]) -> P:
        """The adapter of a port. PermanentError(unsupported) when this installation has none."""
        adapter = self._adapters.get(kind)
        if not isinstance(adapter, kind):
            raise PermanentError(Reason.UNSUPPORTED, f"this installation has no {kind.__name__}")
        return adapter
