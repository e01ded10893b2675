"""An audit log that remembers."""

from typing import Any

from agentd.core import AuditKind

Json = Any  # what an entry says


class RecordingAudit:
    """Implements AuditLog."""

    def __init__(self) -> None:
        self.entries: list[tuple[AuditKind, dict[str, Json]]] = []

    def append(self, kind: AuditKind, **facts: Json) -> None:
        """Remember the entry."""
        self.entries.append((kind, facts))

    async def flush(self) -> None:
        """At once."""
