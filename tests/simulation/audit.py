"""The audit log of a simulated process: it keeps nothing, and tells of each announced write once that would be durable."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentd.core import AuditKind

Json = Any  # a fact's value, in its own shape
Intended = Callable[[str, str], None]
"""Told of an event's id, and of the object that it is about to write to."""


@dataclass(slots=True)
class SimAuditLog:
    """Implements `agentd.core.AuditLog`."""

    intended: Intended
    _waiting: list[tuple[str, str]] = field(default_factory=list)

    def append(self, kind: AuditKind, **facts: Json) -> None:
        """See the protocol."""
        if kind is AuditKind.WRITE_INTENDED:
            self._waiting.append((facts["event_id"], facts["object"]))

    async def flush(self) -> None:
        """See the protocol."""
        waiting, self._waiting = self._waiting, []
        for event_id, obj in waiting:
            self.intended(event_id, obj)


@dataclass(frozen=True, slots=True)
class SimAudit:
    """Stands where the daemon has an `agentd.audit.OpenAudit`."""

    log: SimAuditLog
