"""One replica: who it is, and the parts that it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentd.app.boundary import Boundary
from agentd.app.queues import Queues
from agentd.app.stopping import Stop
from agentd.audit import OpenAudit
from agentd.bus import Consumer, Intake
from agentd.core import Handler, Runtime
from agentd.dispatch import Dispatcher
from agentd.ledger import Ledger
from agentd.reconcile import Shards
from agentd.reconcile.drift import Drift
from agentd.reports import Reports
from agentd.settings import Settings
from agentd.telemetry import Health, Metrics
from proxy.server import Proxy


@dataclass(frozen=True, slots=True)
class Parts:
    """What works, once it is put together."""

    queues: Queues
    ledger: Ledger
    boundary: Boundary
    audit: OpenAudit | None
    consumer: Consumer
    dispatcher: Dispatcher
    reports: Reports
    proxy: Proxy
    drift: Drift | None
    shards: tuple[Shards, ...]
    """Work that the replicas share, each of these by shards of its own."""


@dataclass(slots=True)
class Replica:
    """One process. `parts` is None while it starts."""

    name: str
    settings: Settings
    runtime: Runtime
    stop: Stop
    metrics: Metrics
    health: Health
    intake: Intake
    started_at: float
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    parts: Parts | None = None
