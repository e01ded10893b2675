"""What the ledger and this replica know of an event, in the words of `agentd.core.Operations`. Pure."""

from collections.abc import Mapping, Sequence

from agentd.app.names import Named
from agentd.core import (
    EventAccount,
    Happening,
    Hold,
    NameAccount,
    NoticeAccount,
    OriginAccount,
    Presence,
    SubjectAccount,
)
from agentd.dispatch import Explanation
from agentd.ledger import RecordState, SubjectState
from agentd.platform.origin import Origin

Work = Mapping[str, object]
"""One entry of the dispatcher's status."""


def account_of(named: Named, works: Sequence[Work], *, replica: str, now: float) -> NameAccount:
    """What has been named, for the proxy. `works` are what the replica holds: some of it may not be written down yet."""
    text, answer = named.text, named.answer
    held = {str(work["event_id"]): work for work in works}
    known = [_event(explanation, held.get(explanation.record.event_id or ""), replica) for explanation in answer.events]
    written = {account.event_id for account in known}
    unwritten = [
        _unwritten(work, replica)
        for event_id, work in held.items()
        if event_id not in written and text in (event_id, f"event/{event_id}", work["subject"])
    ]
    return NameAccount(
        events=[*unwritten, *known],
        subjects=[_subject(subject, now) for subject in answer.subjects],
        notices=[NoticeAccount(notice.hold, notice.message, notice.hold.help) for notice in answer.notices],
        origin=None if named.origin is None else origin_of(named.origin),
    )


def _event(explanation: Explanation, work: Work | None, replica: str) -> EventAccount:
    record, outcome = explanation.record, explanation.record.outcome
    reason = outcome.reason if outcome else None
    return EventAccount(
        key=record.key,
        event_id=record.event_id,
        type=record.type,
        subject=record.subject,
        generation=record.generation,
        state=record.state.value,
        epoch=record.epoch,
        attempts=record.attempts,
        changed=record.changed,
        verdict=explanation.verdict,
        outcome=outcome.kind.value if outcome else None,
        reason=reason.value if reason else None,
        reason_help=reason.help if reason else None,
        message=outcome.message if outcome else "",
        failing_step=outcome.step if outcome else None,
        admitted_at=record.admitted_at,
        finished_at=record.finished_at,
        objects=record.objects,
        steps=tuple(step.step for step in explanation.steps),
        happenings=tuple(Happening(item.at, item.epoch, item.what, item.detail) for item in explanation.transitions),
        hold=explanation.hold,
        unblock=explanation.unblock,
        here=None if work is None else _presence(work, replica),
        trace_id=explanation.trace_id,
    )


def _unwritten(work: Work, replica: str) -> EventAccount:
    """An event that this replica has received and holds, and that is written down when its turn comes."""
    generation = work["generation"]
    here = _presence(work, replica)
    hold = next((hold for hold in Hold if hold == here.hold), None)
    waits = f"waits ({hold})" if hold else "waits" if here.running_s is None else "is being worked on"
    behind = f" behind event {here.behind}" if here.behind else ""
    return EventAccount(
        key=f"event/{work['event_id']}",
        event_id=str(work["event_id"]),
        type=str(work["type"]),
        subject=str(work["subject"]),
        generation=generation if isinstance(generation, int) else None,
        state=RecordState.OPEN.value,
        epoch=1,
        attempts=0,
        changed=False,
        verdict=f"has been received by replica {replica} and {waits}{behind}; it is written down when its turn comes",
        outcome=None,
        reason=None,
        reason_help=None,
        message="",
        failing_step=None,
        admitted_at=None,
        finished_at=None,
        objects=(),
        steps=(),
        happenings=(),
        hold=hold,
        unblock=hold.help if hold else "",
        here=here,
    )


def _presence(work: Work, replica: str) -> Presence:
    running_s = work["running_s"]
    return Presence(
        replica=replica,
        running_s=running_s if isinstance(running_s, float) else None,
        step=_text(work.get("step")),
        hold=_text(work.get("waits_for")),
        behind=_text(work.get("behind")),
    )


def origin_of(origin: Origin) -> OriginAccount:
    """An object's origin, with the objects by name."""
    return OriginAccount(
        path=tuple(map(str, origin.path)),
        subject=origin.subject,
        generation=origin.generation,
        event_id=origin.event_id,
        trace_id=origin.trace_id,
    )


def _subject(state: SubjectState, now: float) -> SubjectAccount:
    held = state.held_by if state.held_by is not None and state.held_by.until > now else None
    return SubjectAccount(
        subject=state.subject,
        facets=state.facets,
        desired=tuple(facet for facet, desired in state.desired.items() if desired is not None),
        names=state.names,
        tombstone=state.tombstone,
        held_by_key=held.by_key if held else None,
        held_by_replica=held.by_replica if held else None,
        held_until=held.until if held else None,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
