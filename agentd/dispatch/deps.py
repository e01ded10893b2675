"""What the parts of the dispatcher share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agentd.core import ArtifactStore, AuditLog, Handler, NoAudit, Runtime
from agentd.dispatch.config import DispatchConfig
from agentd.dispatch.policy import Judge, Spend, let_in, spend_freely
from agentd.dispatch.ports import Ports, Prepare, no_plans
from agentd.events import Audience, Event, Verify, accept_unsigned
from agentd.ledger import Claimed, Ledger, Record
from agentd.telemetry import Metrics, Tracing


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
    prepare_plan: Prepare = no_plans
