"""Drift, put together: what it compares by, how it tells, and how it asks for a repair."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from agentd import __version__
from agentd.app.operations import AgentOperations
from agentd.app.parts import Replica
from agentd.app.plans import planner_of
from agentd.app.platform import Platform
from agentd.core import AuditKind, AuditLog, FieldChange, Handler, Picture, PlannedChange, Runtime
from agentd.dispatch import Comparer, Dispatcher
from agentd.events.reports import DriftAuthor, DriftChange, DriftField, DriftReport, moment
from agentd.ledger import Ledger
from agentd.reconcile import Shards
from agentd.reconcile.drift import Drift, Finding, Ports
from agentd.reports import Reports
from agentd.settings import Settings

M = TypeVar("M", bound=BaseModel)
Json = Any  # a value as the object's own API has it

ACTOR = "agent:drift"
"""Who asks for repairs, for the audit trail and the customer's policy."""

# A report fits into a message of every queue.
_MOST_BYTES = 24 * 1024
_MOST_FIELDS_BYTES = 8 * 1024
_MOST_CHARACTERS = 512
_MOST_AUTHORED = 20


def comparer_of(
    settings: Settings, handlers: Mapping[str, Handler], platform: Platform, ledger: Ledger, runtime: Runtime
) -> Comparer:
    """Compares subjects of this installation, beside a daemon or in it."""
    planner = planner_of(platform, settings.owner_id, settings.dispatch, runtime)
    return Comparer(handlers, planner, ledger, runtime)


@dataclass(frozen=True, slots=True)
class DriftParts:
    """Drift, and the shards that it is shared by."""

    drift: Drift
    shards: Shards


def open_drift(
    replica: Replica,
    *,
    platform: Platform,
    ledger: Ledger,
    reports: Reports,
    dispatcher: Dispatcher,
    audit: AuditLog,
) -> DriftParts | None:
    """Drift of one replica; None when the settings want none. It does not run yet."""
    settings, runtime, config = replica.settings, replica.runtime, replica.settings.drift
    if not config.enabled:
        return None
    operations = AgentOperations(replica, platform.cluster)

    async def tell(finding: Finding) -> None:
        sequence = await ledger.next_sequence(finding.picture.subject)
        _note(audit, finding)
        await reports.drift(report_of(finding, sequence, tenant_id=settings.tenant_id, cluster_id=settings.cluster_id))

    async def ask(picture: Picture) -> str:
        return await operations.reconcile(picture.subject, planhash=picture.planhash, actor=ACTOR)

    comparer = comparer_of(settings, replica.handlers, platform, ledger, runtime)
    drift = Drift(
        Ports(comparer.compare, tell, ask, busy=lambda: dispatcher.full),
        ledger=ledger,
        runtime=runtime,
        metrics=replica.metrics,
        health=replica.health,
        config=config,
    )
    shards = Shards(
        # Replicas that count differently, in the middle of a change of the setting, do not take from each other.
        f"drift-{config.shards}",
        config.shards,
        drift.work,
        replica=replica.name,
        ledger=ledger,
        runtime=runtime,
        health=replica.health,
        config=settings.shards,
    )
    return DriftParts(drift, shards)


def report_of(finding: Finding, sequence: int, *, tenant_id: str, cluster_id: str) -> DriftReport:
    """A finding as the control plane is told of it. What is very long is cut short."""
    picture = finding.picture
    return DriftReport(
        subject=str(picture.subject),
        generation=picture.generation,
        sequence=sequence,
        state=picture.state,
        since=None if finding.since is None else moment(finding.since),
        checked_at=moment(finding.checked_at),
        planhash=picture.planhash,
        changes=tuple(_fitting(map(_change, picture.changes), _MOST_BYTES)),
        changes_total=len(picture.changes),
        reason=picture.reason,
        problem=picture.problem[: 2 * _MOST_CHARACTERS],
        repair=finding.repair.value,
        repairs=finding.repairs,
        repair_event_id=finding.event_id,
        tenant_id=tenant_id,
        cluster_id=cluster_id,
        agent_version=__version__,
    )


def _note(audit: AuditLog, finding: Finding) -> None:
    picture = finding.picture
    audit.append(
        AuditKind.DRIFT,
        subject=str(picture.subject),
        generation=picture.generation,
        state=picture.state.value,
        reason=picture.reason,
        planhash=picture.planhash,
        objects=[change.obj for change in picture.changes],
        managers=sorted({author.manager for change in picture.changes for author in change.authors}),
        repair=finding.repair.value,
        repair_event_id=finding.event_id,
    )


def _change(change: PlannedChange) -> DriftChange:
    fields = sorted(change.fields, key=lambda found: found.path)
    return DriftChange(
        object=change.obj,
        action=change.action,
        fields=tuple(_fitting(map(_field, fields), _MOST_FIELDS_BYTES)),
        made_by=tuple(
            DriftAuthor(manager=author.manager, at=author.at, fields=author.fields[:_MOST_AUTHORED])
            for author in change.authors
        ),
    )


def _field(field: FieldChange) -> DriftField:
    return DriftField(path=field.path, found=_short(field.before), wanted=_short(field.after))


def _short(value: Json) -> Json:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def _fitting(items: Iterable[M], most_bytes: int) -> Iterator[M]:
    """The first of them, as many as fit."""
    left = most_bytes
    for item in items:
        left -= len(item.model_dump_json().encode())
        if left < 0:
            return
        yield item
