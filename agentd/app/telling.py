"""What the replica says of itself: the page behind `/status`, the heartbeat, its readiness."""

from collections.abc import Mapping
from dataclasses import asdict

from agentd import __version__
from agentd.app.parts import Replica
from agentd.app.watching import oldest_held, oldest_running
from agentd.core import Reason, TransientError
from agentd.events.reports import Heartbeat, QueueState, WaitingWork, moment

_RECEIVERS = "commands-receiver-"
_SILENCE_S = 5.0  # beyond two polls: the queue's answer, or the time-out that cuts a hung poll


def not_receiving(replica: Replica) -> str | None:
    """Why nothing comes from the commands queue, although this replica asks for it."""
    if replica.parts is None:
        return "still starting"
    if replica.intake.reasons:
        return None
    ages = [pulse.success_age_s for pulse in replica.health.pulses() if pulse.loop.startswith(_RECEIVERS)]
    limit_s = 2 * replica.settings.bus.wait_s + _SILENCE_S
    if replica.parts.consumer.table.free and ages and min(ages) > limit_s:
        return f"no receive has succeeded for {min(ages):.0f} s"
    return None


async def status(replica: Replica) -> Mapping[str, object]:
    """The document behind `/status`. Raises AgentError when the ledger does not answer."""
    parts, settings = replica.parts, replica.settings
    return {
        "version": __version__,
        "replica": replica.name,
        "tenant_id": settings.tenant_id,
        "cluster_id": settings.cluster_id,
        "owner_id": settings.owner_id,
        "uptime_s": round(replica.runtime.now() - replica.started_at, 3),
        "draining": replica.stop.drain.is_set(),
        "intake_paused": sorted(replica.intake.reasons),
        "event_types": sorted(replica.handlers),
        "held": {str(phase): count for phase, count in parts.consumer.table.counts().items()} if parts else {},
        "work": parts.dispatcher.status() if parts else [],
        "oldest_work": _oldest_work(replica),
        "ledger": asdict(await parts.ledger.stats()) if parts else {},
        "drift": parts.drift.status() if parts and parts.drift else None,
        "loops": [
            {
                "loop": pulse.loop,
                "progress_age_s": round(pulse.progress_age_s, 3),
                "success_age_s": round(pulse.success_age_s, 3),
                "late": pulse.late,
                "doing": pulse.doing,
            }
            for pulse in replica.health.pulses()
        ],
        "warnings": list(parts.boundary.warnings()) if parts else [],
        "ailments": list(replica.health.checkup.ailments),
    }


def _oldest_work(replica: Replica) -> Mapping[str, object]:
    held, running = oldest_held(replica), oldest_running(replica)
    return {
        "held": None if held is None else asdict(held),
        "running": None if running is None else asdict(running),
    }


async def heartbeat(replica: Replica, number: int) -> Heartbeat:
    """What this replica is busy with. Raises AgentError when the ledger does not answer."""
    parts, settings = replica.parts, replica.settings
    if parts is None:
        raise TransientError(Reason.UNAVAILABLE, "still starting")
    stats = await parts.ledger.stats()
    rows = parts.consumer.table.rows()
    now = replica.runtime.now()
    sent = [row.delivery.sent_at for row in rows if row.delivery.sent_at is not None]
    return Heartbeat(
        replica=replica.name,
        agent_version=__version__,
        tenant_id=settings.tenant_id,
        cluster_id=settings.cluster_id,
        owner_id=settings.owner_id,
        number=number,
        started_at=moment(replica.started_at),
        interval_s=settings.reports.heartbeat_interval_s,
        draining=replica.stop.drain.is_set(),
        queues=(QueueState(queue="commands", oldest_received_age_s=max(0.0, now - min(sent)) if sent else None),),
        oldest_work_age_s=None if stats.oldest_open_at is None else max(0.0, now - stats.oldest_open_at),
        open_events=stats.open_events,
        outbox=stats.outbox,
        held={str(phase): count for phase, count in parts.consumer.table.counts().items()},
        waiting=tuple(WaitingWork(why=why, count=count) for why, count in sorted(stats.waiting.items())),
        paused=tuple(sorted(replica.intake.reasons)),
        warnings=parts.boundary.warnings(),
        audit_head=None if parts.audit is None else str(parts.audit.log.head),
        ailments=replica.health.checkup.ailments,
        event_types=tuple(sorted(replica.handlers)),
    )
