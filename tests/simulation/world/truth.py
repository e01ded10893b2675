"""What is true of the simulated cloud and cluster: every write that reached a server, in the order of the effects.

Checkers read it. It knows what no client can: what a write met and left, and whether its caller was still there.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from agentd.platform.aws import tags
from agentd.telemetry import logs


class Api(StrEnum):
    """What an API can promise of a write (I4)."""

    CONDITIONAL = "conditional"
    """It can be bound to a state that was read: Kubernetes."""
    UNCONDITIONAL = "unconditional"
    """It cannot: ECR, IAM."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Whose an object is, and how new, as its tags or labels say; None where they say nothing."""

    owner_id: str | None = None
    subject: str | None = None
    generation: int | None = None
    event_id: str | None = None

    @classmethod
    def of_tags(cls, found: Mapping[str, str]) -> Self:
        """Of an object of AWS, or of what a request carries to one."""
        generation = found.get(tags.GENERATION, "")
        return cls(
            owner_id=found.get(tags.OWNER_ID),
            subject=found.get(tags.SUBJECT),
            generation=int(generation) if generation.isdecimal() else None,
            event_id=found.get(tags.EVENT_ID),
        )


NO_MARKS = Marks()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who made a call: the replica, and the event that the daemon's log lines would name."""

    replica: str
    event_id: str | None = None
    subject: str | None = None
    attempt: int | None = None

    @classmethod
    def now(cls, replica: str) -> Self:
        """Whoever runs right now."""
        said: Mapping[str, Any] = logs._bound.get()
        return cls(replica, said.get("event_id"), said.get("subject"), said.get("attempt"))


@dataclass(slots=True)
class Asked:
    """One call, as it arrives at a server."""

    caller: Caller
    service: str
    operation: str
    at: float
    """When the caller made it."""
    lag_s: float = 0.0
    """It is judged by the state of so long ago."""
    late: bool = False
    """It arrives when nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Write:
    """One mutating call, at the moment at which a server took it up. Times are of the event loop's clock."""

    number: int
    at: float
    asked_at: float
    caller: Caller
    api: Api
    service: str
    operation: str
    obj: str
    carried: Marks
    """What the request itself says; much of AWS' API has no place for it."""
    before: Marks | None
    """Of the object as it was; None when it was not there."""
    after: Marks | None
    """Of the object as it is now."""
    changed: bool
    stamp: bool
    """It changed, but in its bookkeeping alone: generation, event, trace, who owns which fields."""
    refusal: str | None = None
    """The provider's code."""
    late: bool = False
    bound: bool = False
    """It holds for one state of the object alone: the one that its caller has read."""


@dataclass(frozen=True, slots=True)
class About:
    """What a write is about: see Write."""

    api: Api
    obj: str
    carried: Marks
    bound: bool = False


class Books:
    """All writes, and who wants to hear of them at once."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self._listeners: list[Callable[[Write], None]] = []

    def listen(self, listener: Callable[[Write], None]) -> None:
        """Call this at every write, at the moment of its effect."""
        self._listeners.append(listener)

    def enter(
        self,
        asked: Asked,
        about: About,
        before: Marks | None,
        after: Marks | None,
        *,
        changed: bool = False,
        stamp: bool = False,
        refusal: str | None = None,
    ) -> None:
        """A write that a server took, or turned down: then the object stays as it is."""
        write = Write(
            number=len(self.writes),
            at=asyncio.get_running_loop().time(),
            asked_at=asked.at,
            caller=asked.caller,
            api=about.api,
            service=asked.service,
            operation=asked.operation,
            obj=about.obj,
            carried=about.carried,
            before=before,
            after=after,
            changed=changed,
            stamp=stamp,
            refusal=refusal,
            late=asked.late,
            bound=about.bound,
        )
        self.writes.append(write)
        for listener in self._listeners:
            listener(write)


@dataclass(frozen=True, slots=True)
class Seen:
    """One object as it is, without what differs between two runs that did the same: uids, versions, times, stamps."""

    obj: str
    service: str
    kind: str
    marks: Marks
    content: Mapping[str, object]
    terminating: bool = False


def own_tags(found: Mapping[str, str]) -> Mapping[str, str]:
    """Tags without the stamps of a write."""
    return {key: value for key, value in found.items() if key not in (tags.GENERATION, tags.EVENT_ID, tags.TRACE_ID)}
