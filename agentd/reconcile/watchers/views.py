"""What a kind of state is made of, and what has been seen of it. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentd.platform import Change, ChangeKind, Kind, Manifest

Json = Any  # the content of a state, whose shape is its kind's own


@dataclass(frozen=True, slots=True)
class Source:
    """Objects that a kind of state is made of: all of a kind that have these labels."""

    kind: Kind
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fact:
    """The whole state of a subject, such as `environment/<uuid>`."""

    subject: str
    content: Mapping[str, Json]


Seen = Mapping[Kind, Iterable[Manifest]]
"""The objects of one place, by kind."""


@dataclass(frozen=True, slots=True)
class View:
    """A kind of state.

    `read` is given what there is at one place: in one namespace, with that itself, or one object that is in none. It says
    everything that is to be told of subjects there; of those that it does not name any more, it is told that they are gone.
    """

    name: str
    sources: tuple[Source, ...]
    read: Callable[[Seen], Iterable[Fact]]


class Store:
    """The objects of a view, by place: what the watches behind it hold anyway, and no copy of it."""

    def __init__(self) -> None:
        self._places: dict[str, dict[Kind, dict[str, Manifest]]] = {}

    def take(self, kind: Kind, change: Change) -> str | None:
        """Take in one change of a source; the place that it is about, None for a change without an object."""
        if change.manifest is None:
            return None
        metadata = change.manifest["metadata"]
        name: str = metadata["name"]
        place: str = metadata.get("namespace") or name
        objects = self._places.setdefault(place, {}).setdefault(kind, {})
        if change.kind is ChangeKind.GONE:
            objects.pop(name, None)
        else:
            objects[name] = change.manifest
        if not any(self._places[place].values()):
            del self._places[place]
        return place

    def seen(self, place: str) -> Seen:
        """What there is at a place."""
        return {kind: objects.values() for kind, objects in self._places.get(place, {}).items()}

    def __iter__(self) -> Iterator[str]:
        """All places."""
        return iter(self._places)
