"""`Agent`: what the agent itself is, does and has done."""

import asyncio
from collections.abc import Mapping
from typing import Any

from grpclib.server import Stream

from agentd.core import DeadLetterAccount, EventAccount, Operations, OriginAccount, Presence, SubjectAccount
from proxy.generated.v1 import agent_pb2 as pb
from proxy.generated.v1.agent_grpc import AgentBase
from proxy.messages import duration, request_of, timestamp
from proxy.paging import Key, Paging
from proxy.validation import Check

_MOST_NAME = 512
_MOST_EVENTS = 50
_MOST_LETTERS = 1000  # that one call looks through
_MOST_IDS = 100
_LETTERS = Paging(default=50, most=500, key=(float, str))
_REDRIVE_DEFAULT = 100
_REDRIVE_MOST = 1000

Json = Any  # part of the /status document, whose shape is its source's own

_STATES = {"open": pb.EVENT_STATE_OPEN, "finished": pb.EVENT_STATE_FINISHED}
_OUTCOMES = {
    "succeeded": pb.OUTCOME_SUCCEEDED,
    "failed": pb.OUTCOME_FAILED,
    "rejected": pb.OUTCOME_REJECTED,
    "superseded": pb.OUTCOME_SUPERSEDED,
}


class AgentService(AgentBase):
    """Answers from `Operations`."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        # Whoever looks through a queue hides its messages from others who look: one at a time.
        self._dead_letters = asyncio.Lock()

    async def GetVersion(self, stream: Stream[pb.GetVersionRequest, pb.GetVersionResponse]) -> None:
        await request_of(stream)
        version = self._operations.version()
        await stream.send_message(
            pb.GetVersionResponse(
                version=version.version,
                replica=version.replica,
                tenant_id=version.tenant_id,
                cluster_id=version.cluster_id,
                owner_id=version.owner_id,
                event_types=version.event_types,
            )
        )

    async def GetStatus(self, stream: Stream[pb.GetStatusRequest, pb.GetStatusResponse]) -> None:
        await request_of(stream)
        await stream.send_message(_status(await self._operations.status()))

    async def Explain(self, stream: Stream[pb.ExplainRequest, pb.ExplainResponse]) -> None:
        request = await request_of(stream)
        check = Check()
        check.length("name", request.name, least=1, most=_MOST_NAME)
        check.done()
        found = await self._operations.explain(request.name)
        await stream.send_message(
            pb.ExplainResponse(
                events=[_event(account) for account in found.events[:_MOST_EVENTS]],
                incomplete=len(found.events) > _MOST_EVENTS,
                subjects=map(_subject, found.subjects),
                notices=[
                    pb.Notice(hold=notice.hold, message=notice.message, unblock=notice.unblock)
                    for notice in found.notices
                ],
                origin=None if found.origin is None else _origin(found.origin),
            )
        )

    async def ListDeadLetters(self, stream: Stream[pb.ListDeadLettersRequest, pb.ListDeadLettersResponse]) -> None:
        request = await request_of(stream)
        check = Check()
        page = _LETTERS.begin(request.page_size, request.page_token, check)
        check.done()
        async with self._dead_letters:
            letters = await self._operations.dead_letters(limit=_MOST_LETTERS)
        cut = page.of(letters, _letter_key)
        await stream.send_message(
            pb.ListDeadLettersResponse(
                dead_letters=map(_letter, cut.items),
                next_page_token=cut.next_page_token,
                incomplete=len(letters) >= _MOST_LETTERS,
            )
        )

    async def Redrive(self, stream: Stream[pb.RedriveRequest, pb.RedriveResponse]) -> None:
        request = await request_of(stream)
        _check_redrive(request)
        async with self._dead_letters:
            account = await self._operations.redrive(
                event_ids=tuple(request.event_ids), limit=request.limit or _REDRIVE_DEFAULT
            )
        redriven = set(account.redriven)
        await stream.send_message(
            pb.RedriveResponse(
                redriven_ids=account.redriven,
                missing_ids=[asked for asked in request.event_ids if asked not in redriven],
                looked_at=account.looked_at,
            )
        )


def _check_redrive(request: pb.RedriveRequest) -> None:
    check = Check()
    check.that(bool(request.event_ids) != request.all, "event_ids", "say either ids or all, and not both")
    check.that(len(request.event_ids) <= _MOST_IDS, "event_ids", f"must be at most {_MOST_IDS}")
    for index, event_id in enumerate(request.event_ids[:_MOST_IDS]):
        check.uuid(f"event_ids[{index}]", event_id)
    check.between("limit", request.limit, most=_REDRIVE_MOST)
    check.done()


def _status(document: Mapping[str, Json]) -> pb.GetStatusResponse:
    held = document["held"]
    return pb.GetStatusResponse(
        version=document["version"],
        replica=document["replica"],
        uptime=duration(document["uptime_s"]),
        draining=document["draining"],
        paused_reasons=document["intake_paused"],
        held=pb.HeldMessages(**{phase: held.get(phase, 0) for phase in pb.HeldMessages.DESCRIPTOR.fields_by_name}),
        work=[_work(item) for item in document["work"]],
        loops=[_loop(loop) for loop in document["loops"]],
        ledger=_ledger(document["ledger"]) if document["ledger"] else None,
        ailments=document["ailments"],
        oldest_held=_held(document["oldest_work"]["held"]),
        oldest_running=_running(document["oldest_work"]["running"]),
    )


def _held(held: Json) -> pb.HeldMessage | None:
    if held is None:
        return None
    return pb.HeldMessage(message_id=held["message_id"], phase=held["phase"], held=duration(held["held_s"]))


def _running(running: Json) -> pb.WorkItem | None:
    if running is None:
        return None
    return pb.WorkItem(
        event_id=running["event_id"],
        type=running["type"],
        running=duration(running["running_s"]),
        step=running["step"] or "",
    )


def _work(item: Json) -> pb.WorkItem:
    return pb.WorkItem(
        event_id=item["event_id"],
        type=item["type"],
        subject=item["subject"],
        generation=item["generation"],
        running=duration(item["running_s"]),
        step=item["step"] or "",
    )


def _loop(loop: Json) -> pb.Loop:
    return pb.Loop(
        name=loop["loop"],
        progress_age=duration(loop["progress_age_s"]),
        success_age=duration(loop["success_age_s"]),
        late=loop["late"],
        doing=loop["doing"],
    )


def _ledger(counts: Json) -> pb.LedgerCounts:
    return pb.LedgerCounts(
        open_events=counts["open_events"],
        finished_events=counts["finished_events"],
        outbox=counts["outbox"],
        leases=counts["leases"],
        subjects=counts["subjects"],
        tombstones=counts["tombstones"],
        oldest_open_time=timestamp(counts["oldest_open_at"]),
        waiting=counts["waiting"],
    )


def _event(account: EventAccount) -> pb.EventAccount:
    return pb.EventAccount(
        key=account.key,
        event_id=account.event_id or "",
        type=account.type or "",
        subject=account.subject,
        generation=account.generation,
        state=_STATES.get(account.state, pb.EVENT_STATE_UNSPECIFIED),
        epoch=account.epoch,
        attempts=account.attempts,
        changed=account.changed,
        verdict=account.verdict,
        outcome=_outcome(account.outcome),
        reason=account.reason or "",
        reason_help=account.reason_help or "",
        message=account.message,
        failing_step=account.failing_step or "",
        admit_time=timestamp(account.admitted_at),
        finish_time=timestamp(account.finished_at),
        objects=account.objects,
        steps=account.steps,
        happenings=[
            pb.Happening(time=timestamp(one.at), epoch=one.epoch, what=one.what, detail=one.detail)
            for one in account.happenings
        ],
        hold=account.hold or "",
        unblock=account.unblock,
        here=None if account.here is None else _presence(account.here),
        trace_id=account.trace_id or "",
    )


def _presence(here: Presence) -> pb.Presence:
    return pb.Presence(
        replica=here.replica,
        running=duration(here.running_s),
        step=here.step or "",
        hold=here.hold or "",
        behind=here.behind or "",
    )


def _origin(account: OriginAccount) -> pb.Origin:
    return pb.Origin(
        path=account.path,
        subject=account.subject or "",
        generation=account.generation,
        event_id=account.event_id or "",
        trace_id=account.trace_id or "",
    )


def _subject(account: SubjectAccount) -> pb.SubjectAccount:
    return pb.SubjectAccount(
        subject=account.subject,
        facets=[
            pb.Facet(name=name, generation=generation, desired=name in account.desired)
            for name, generation in account.facets.items()
        ],
        names=[pb.ReservedName(kind=kind, name=name) for kind, name in account.names],
        tombstone=account.tombstone,
        held_by_key=account.held_by_key or "",
        held_by_replica=account.held_by_replica or "",
        held_until=timestamp(account.held_until),
    )


def _letter(account: DeadLetterAccount) -> pb.DeadLetter:
    return pb.DeadLetter(
        message_id=account.message_id,
        key=account.key or "",
        epoch=account.epoch,
        event_id=account.event_id or "",
        type=account.type or "",
        subject=account.subject or "",
        outcome=_outcome(account.outcome),
        reason=account.reason or "",
        message=account.message or "",
        send_time=timestamp(account.sent_at),
    )


def _letter_key(account: DeadLetterAccount) -> Key:
    return (float(account.sent_at or 0.0), account.message_id)


def _outcome(value: str | None) -> pb.Outcome:
    return _OUTCOMES.get(value or "", pb.OUTCOME_UNSPECIFIED)
