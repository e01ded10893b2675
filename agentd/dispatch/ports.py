"""The adapters that handlers are given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from agentd.core import Fence, PermanentError, Plan, Reason, Subject

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


@dataclass(frozen=True, slots=True)
class Tools:
    """What the handler is given for one plan: ports that record what they would write, and a fence that lets nothing through."""

    ports: Ports
    fence: Fence


Prepare = Callable[[Plan, Subject, int, str], Tools]
"""Tools for a plan on behalf of a subject, a generation and an event."""


def no_plans(_plan: Plan, subject: Subject, _generation: int, _event_id: str) -> Tools:
    """For a dispatcher without ports that plan."""
    raise PermanentError(Reason.UNSUPPORTED, f"data.plan: this installation makes no plans, so none for {subject}")
