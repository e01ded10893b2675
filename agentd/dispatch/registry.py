"""Finding handlers: the entry-point group `agentd.handlers`."""

from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from types import MappingProxyType

from agentd.core import Handler
from agentd.events import CATALOGUE

GROUP = "agentd.handlers"


class BadHandlers(Exception):
    """What an entry point offers cannot be used; the message names it."""


def load_handlers() -> Mapping[str, Handler]:
    """All handlers that installed packages offer, by event type. Raises BadHandlers."""
    found: list[tuple[str, object]] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            offered = point.load()
        except Exception as error:
            raise BadHandlers(f"entry point {point.name} ({point.value}) cannot be loaded: {error!r}") from error
        if not isinstance(offered, Iterable):
            raise BadHandlers(f"entry point {point.name} ({point.value}) is no collection of handlers: {offered!r}")
        found.extend((f"{point.name} ({point.value})", candidate) for candidate in offered)
    return index(found)


def index(found: Iterable[tuple[str, object]]) -> Mapping[str, Handler]:
    """Handlers by event type. Each must be a handler of a known event, and the only one for it. Raises BadHandlers."""
    handlers: dict[str, Handler] = {}
    origins: dict[str, str] = {}
    for origin, candidate in found:
        if not isinstance(candidate, Handler):
            raise BadHandlers(f"entry point {origin} offers {candidate!r}, which is not declared with @handler")
        event_type = candidate.event.type
        if CATALOGUE.get(event_type) is not candidate.event:
            raise BadHandlers(f"entry point {origin} handles {event_type}, which is not in the catalogue")
        if event_type in handlers:
            raise BadHandlers(f"{event_type} has two handlers: from {origins[event_type]} and from {origin}")
        handlers[event_type], origins[event_type] = candidate, origin
    return MappingProxyType(handlers)
