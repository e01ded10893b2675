"""What a story is made of."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentd.cli.story.stage import Stage

Deed = Callable[["Stage"], Awaitable[None]]


def id_of(name: str) -> str:
    """Ids are the same in every run, so that two runs can be compared."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://control-plane.example/demo/{name}"))


@dataclass(frozen=True, slots=True)
class Expected:
    """How an event must end."""

    outcome: str
    changed: bool = False
    reason: str | None = None
    epoch: int = 1


@dataclass(frozen=True, slots=True)
class Telling:
    """One line of the story. `count`: which report of the event's epoch it is, when there are several.

    `before` is waited for before it is sent.
    """

    title: str
    body: str
    event_id: str | None
    expected: Expected
    count: int = 1
    before: Deed | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """Events sent together, after something has been prepared; the next act begins when all have been reported.

    `meanwhile` goes on while the events are on their way.
    """

    tellings: Sequence[Telling]
    prepare: Deed | None = None
    sends: bool = True
    meanwhile: Deed | None = None
