"""What a replica's health says of its work: how old the oldest of it is, and what should have ended by now."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agentd.app.parts import Replica
from agentd.core import Handler, Phase

Works = Iterable[Mapping[str, object]]
"""The dispatcher's status."""

_OVERRUN_S = 10.0  # that a handler may take to clean up when its deadline has cut it short


@dataclass(frozen=True, slots=True)
class Held:
    """A message held."""

    message_id: str
    phase: Phase
    held_s: float


@dataclass(frozen=True, slots=True)
class Running:
    """An attempt under way."""

    event_id: str
    type: str
    running_s: float
    step: str | None


def watch(replica: Replica) -> None:
    """Have the replica's health look at its work."""
    health = replica.health
    health.invariant("events", lambda: overrun(_works(replica), replica.handlers))
    health.oldest_work("held", lambda: held.held_s if (held := oldest_held(replica)) else None)
    health.oldest_work("running", lambda: work.running_s if (work := oldest_running(replica)) else None)


def oldest_held(replica: Replica) -> Held | None:
    """The message that has been held for the longest."""
    rows = replica.parts.consumer.table.rows() if replica.parts else ()
    if not rows:
        return None
    row = min(rows, key=lambda row: row.delivery.received_at)
    return Held(row.message_id, row.phase, round(max(0.0, replica.runtime.now() - row.delivery.received_at), 3))


def oldest_running(replica: Replica) -> Running | None:
    """The attempt that has run for the longest."""
    return max(_running(_works(replica)), key=lambda work: work.running_s, default=None)


def overrun(works: Works, handlers: Mapping[str, Handler]) -> str | None:
    """The attempt that goes on although its handler's deadline has passed, or None."""
    for work in _running(works):
        handler = handlers.get(work.type)
        if handler is not None and work.running_s > handler.timeout_s + _OVERRUN_S:
            at = f"at step {work.step!r}" if work.step else "between steps"
            return (
                f"event {work.event_id} ({work.type}) has run for {work.running_s:.0f} s, {at}; "
                f"its handler's deadline is {handler.timeout_s:g} s"
            )
    return None


def _works(replica: Replica) -> Works:
    return replica.parts.dispatcher.status() if replica.parts else ()


def _running(works: Works) -> Iterator[Running]:
    for work in works:
        event_id, event_type, running_s, step = (work[key] for key in ("event_id", "type", "running_s", "step"))
        if isinstance(running_s, float):
            yield Running(str(event_id), str(event_type), running_s, None if step is None else str(step))
