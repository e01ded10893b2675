"""What the customer's own audit log is told."""

from enum import StrEnum
from typing import Any, Protocol

Json = Any  # a JSON value whose shape is its writer's own


class AuditKind(StrEnum):
    """What an entry tells of. Every event, decision, write and proxy call has one."""

    AGENT_STARTED = "agent.started"
    AGENT_STOPPED = "agent.stopped"
    EVENT_REFUSED = "event.refused"
    """Not admitted: malformed, not believed, not meant for this agent, or against the policy."""
    EVENT_CLAIMED = "event.claimed"
    """An attempt begins."""
    EVENT_PUT_OFF = "event.put_off"
    """It waits: for what, and until when at least."""
    EVENT_FINISHED = "event.finished"
    EVENT_REPEATED = "event.repeated"
    """A duplicate: its recorded end is told again."""
    WRITE_INTENDED = "write.intended"
    """A mutating call on an object comes next."""
    DRIFT = "drift"
    """A subject's world differs from what is desired of it, or does so no more."""
    PROXY_CALL = "proxy.call"
    CONTROL = "control"
    """Somebody on the customer's side paused, resumed, approved, released or redrove."""


class AuditLog(Protocol):
    """An append-only log."""

    def append(self, kind: AuditKind, **facts: Json) -> None:
        """Put an entry behind the others. It is not durable before `flush` has returned. Never blocks.

        TransientError(unavailable): too many entries wait to be written.
        """
        ...

    async def flush(self) -> None:
        """Returns when every entry appended before is durable. TransientError(unavailable) when it cannot be made so."""
        ...


class NoAudit:
    """An installation without an audit log."""

    def append(self, kind: AuditKind, **facts: Json) -> None:
        """Nothing."""

    async def flush(self) -> None:
        """At once."""


class AuditStore(Protocol):
    """Where copies of closed files of the log are kept, out of reach of whoever gets hold of the agent's host."""

    async def put(self, name: str, data: bytes) -> None:
        """Keep the bytes under a name of the form chain/file; nothing is ever replaced, and the same again changes nothing.

        PermanentError(conflict): other bytes are kept under this name. TransientError: it may work next time.
        """
        ...
