"""What has been opened, put together to the parts that work."""

from agentd import __version__
from agentd.app import telling
from agentd.app.boundary import Boundary
from agentd.app.drift import open_drift
from agentd.app.parts import Parts, Replica
from agentd.app.plans import preparing
from agentd.app.platform import Platform
from agentd.app.queues import Queues, ReportsQueue
from agentd.app.states import watchers
from agentd.audit import OpenAudit
from agentd.bus import Consumer
from agentd.core import NoAudit
from agentd.dispatch import Deps, Dispatcher, Ports
from agentd.events import Audience
from agentd.ledger import Ledger
from agentd.reports import Identity, Reports, States
from agentd.telemetry import Tracing, get_logger
from proxy.server import Proxy

log = get_logger("app")


def wire(
    replica: Replica,
    *,
    queues: Queues,
    ledger: Ledger,
    platform: Platform,
    boundary: Boundary,
    audit: OpenAudit | None,
    tracing: Tracing,
    proxy: Proxy,
) -> Parts:
    """The parts of a replica; none of them runs yet."""
    settings = replica.settings
    audience = Audience(settings.tenant_id, settings.cluster_id)
    identity = Identity(settings.source, audience, settings.owner_id, replica.name, __version__, boundary.sign)
    outbound = ReportsQueue(queues.reports)
    reports = Reports(
        identity=identity,
        ledger=ledger,
        outbound=outbound,
        heartbeat=lambda number: telling.heartbeat(replica, number),
        on_full=lambda full: _outbox_full(replica, full=full),
        runtime=replica.runtime,
        metrics=replica.metrics,
        health=replica.health,
        config=settings.reports,
    )
    deps = Deps(
        audience=audience,
        owner_id=settings.owner_id,
        replica=replica.name,
        config=settings.dispatch,
        handlers=replica.handlers,
        ports=Ports(platform.ports),
        ledger=ledger,
        outlet=reports,
        artifacts=platform.artifacts,
        runtime=replica.runtime,
        metrics=replica.metrics,
        tracing=tracing,
        audit=NoAudit() if audit is None else audit.log,
        verify=boundary.verify,
        judge=boundary.judge,
        spend=boundary.spend,
        prepare_plan=preparing(platform, settings.owner_id),
    )
    dispatcher = Dispatcher(deps, replica.health)
    consumer = Consumer(
        queue=queues.commands,
        dead_letters=queues.dead_letters,
        handle=dispatcher.handle,
        sweep=dispatcher.sweep,
        intake=replica.intake,
        runtime=replica.runtime,
        metrics=replica.metrics,
        health=replica.health,
        config=settings.bus,
    )
    drifting = open_drift(
        replica,
        platform=platform,
        ledger=ledger,
        reports=reports,
        dispatcher=dispatcher,
        audit=deps.audit,
    )
    states = States(
        identity=identity,
        outbound=outbound,
        runtime=replica.runtime,
        metrics=replica.metrics,
        batch=settings.reports.batch,
        again_within_s=settings.state.resync_s,
    )
    watching = watchers(replica, ledger=ledger, cluster=platform.cluster, states=states)
    return Parts(
        queues=queues,
        ledger=ledger,
        boundary=boundary,
        audit=audit,
        consumer=consumer,
        dispatcher=dispatcher,
        reports=reports,
        proxy=proxy,
        drift=None if drifting is None else drifting.drift,
        shards=(*(() if drifting is None else (drifting.shards,)), *(() if watching is None else (watching,))),
    )


def _outbox_full(replica: Replica, *, full: bool) -> None:
    log.warning("outbox.full" if full else "outbox.has_room")
    if full:
        replica.intake.pause("outbox_full")
    else:
        replica.intake.resume("outbox_full")
