"""What the parts of the dispatcher share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from agentd.core import ArtifactStore, AuditLog, Handler, NoAudit, PermanentError, Reason, Runtime
from agentd.dispatch.config import DispatchConfig
from agentd.dispatch.policy import Judge, Spend, let_in, spend_freely
from agentd.events import Audience, Event, Verify, accept_unsigned
from agentd.ledger import Claimed, Ledger, Record
from agentd.telemetry import Metrics, Tracing

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


class Outlet(Protocol):
    """Where reports go out; the reports room stands behind it."""

    async def deliver(self, record: Record) -> None:
        """Returns once the reports queue has taken the report of a finished record. Cancel it to stop waiting."""
        ...

    def progress(
        self, event: Event, claimed: Claimed, *, order: int, step: str, number: int, of: int, message: str
    ) -> None:
        """Step `number` of `of` is under way; `order` counts within the attempt. Never blocks; only the newest need go out."""
        ...


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything that a dispatcher is made of. `replica` names this process, `owner_id` this installation."""

    audience: Audience
    owner_id: str
    replica: str
    config: DispatchConfig
    handlers: Mapping[str, Handler]
    ports: Ports
    ledger: Ledger
    outlet: Outlet
    artifacts: ArtifactStore | None
    runtime: Runtime
    metrics: Metrics
    tracing: Tracing
    audit: AuditLog = field(default_factory=NoAudit)
    verify: Verify = accept_unsigned
    judge: Judge = let_in
    spend: Spend = spend_freely
