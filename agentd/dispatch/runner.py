"""From an event's turn to its end: claim, attempt, and what follows from either."""

import asyncio
from dataclasses import dataclass
from typing import assert_never

from agentd.core import (
    AuditKind,
    Defer,
    Delivery,
    Handler,
    Hold,
    LeaseLost,
    Outcome,
    OutcomeKind,
    Phase,
    Reason,
    Retry,
)
from agentd.dispatch.admission import admission_of
from agentd.dispatch.attempt import AttemptResult, Done, Failed, Lost, PutOff, result_of, run_attempt
from agentd.dispatch.context import RunContext
from agentd.dispatch.deps import Deps
from agentd.dispatch.endings import Ended, Endings, Verdict, waits_since
from agentd.dispatch.lanes import Ticket
from agentd.dispatch.leases import Lease, LeaseKeeper
from agentd.dispatch.obstacles import FinalObstacle, outcome_of
from agentd.dispatch.planning import Planner
from agentd.dispatch.requests import claim_request
from agentd.dispatch.retries import attempt_delay_s, waiting_delay_s
from agentd.events import Event, EventData
from agentd.ledger import (
    Claimed,
    ClaimRequest,
    ClaimResult,
    Finished,
    Foreseen,
    Held,
    Missing,
    NameTaken,
    OtherContent,
    Record,
    Waiting,
)
from agentd.telemetry import get_logger

log = get_logger("dispatch")

Obstacle = FinalObstacle | Held | Missing | Finished | OtherContent

_RELEASE_WAIT_S = 2.0
_HOLDS = {Reason.PREEMPTED: Hold.PREEMPTED, Reason.BUDGET: Hold.BUDGET}


@dataclass(slots=True, eq=False)
class Work:
    """One delivery of an event on its way. `key_id` is of the key that vouches for it.

    `record` is None before the event is known to be written down.
    """

    delivery: Delivery
    event: Event
    ticket: Ticket
    key_id: str | None = None
    record: Record | None = None
    started: float | None = None
    context: RunContext | None = None


@dataclass(frozen=True, slots=True)
class Runner:
    """Claims and runs events whose turn it is."""

    deps: Deps
    leases: LeaseKeeper
    endings: Endings
    planner: Planner

    async def run(self, work: Work) -> Verdict:
        """Claim the event, run its handler, and bring it to its end, or say when to go on."""
        event, data = work.event, work.event.data
        if data is None:
            raise ValueError(f"{event.key} has no data")
        handler = self.deps.handlers[event.envelope.type]
        if data.plan:
            return await self._plan(work, handler, data)
        asked_at = self.deps.runtime.monotonic()
        request = self._request(work, handler, data)
        result = await self._claim(request)
        if not isinstance(result, Claimed):
            return await self._not_claimed(work, result)
        work.record = result.record
        self._audit_claim(result)
        lease = self.leases.hold(result.claim, claimed_at_monotonic=asked_at, claimed_at_wall=request.now)
        try:
            try:
                attempted = await self._attempt(work, handler, result, lease, data)
            finally:
                self.leases.let_go(lease)
            # From here on one transaction gives the lease back: nothing is left to be kept alive.
            return await self._settle(work, handler, result, attempted, deletes=data.deletes)
        except asyncio.CancelledError:
            await self._let_go(result)
            raise

    async def put_off(
        self, delivery: Delivery, record: Record, hold: Hold, message: str, retry_after: float | None = None
    ) -> Ended | Defer:
        """Give the event back without blame, for longer the longer it has waited."""
        config, now = self.deps.config, self.deps.runtime.now()
        delay_s = waiting_delay_s(
            now - waits_since(record, delivery, now=now),
            least_s=config.defer_min_s,
            most_s=config.defer_max_s,
            retry_after=retry_after,
        )
        return await self.endings.put_off(delivery, record, hold=hold, message=message, delay_s=delay_s)

    def _request(self, work: Work, handler: Handler, data: EventData) -> ClaimRequest:
        now = self.deps.runtime.now()
        record = work.record
        return claim_request(
            work.event,
            data,
            handler,
            replica=self.deps.replica,
            now=now,
            until=now + self.leases.lasts_s,
            epoch=None if record is None else record.epoch,
            admission=admission_of(work.event, now=work.delivery.received_at) if record is None else None,
        )

    async def _plan(self, work: Work, handler: Handler, data: EventData) -> Verdict:
        """Say what the event would change. A plan claims nothing, so nothing is taken from anybody."""
        foreseen = await self.deps.ledger.foresee(self._request(work, handler, data))
        if not isinstance(foreseen, Foreseen):
            return await self._not_claimed(work, foreseen)
        if work.record is None:
            raise ValueError(f"{work.event.key} has not been written down")
        work.delivery.enter(Phase.RUNNING)
        try:
            plan = await self.planner.plan(handler, work.event, data, foreseen)
        except Exception as error:
            return await self._not_planned(work, work.record, result_of(error, None))
        outcome = Outcome(OutcomeKind.SUCCEEDED, message=f"{len(plan)} objects would change", result=plan.json())
        return await self.endings.finish(work.delivery, work.record, outcome)

    async def _not_planned(self, work: Work, record: Record, why: AttemptResult) -> Verdict:
        match why:
            case Failed(final=True):
                outcome = Outcome(OutcomeKind.FAILED, reason=why.reason, message=why.message)
                return await self.endings.finish(work.delivery, record, outcome)
            case Failed():
                return await self.put_off(work.delivery, record, Hold.RETRY, why.message, why.retry_after)
            case PutOff():
                return await self.put_off(work.delivery, record, Hold.WAITING, why.message, why.retry_after)
            case Lost():
                return await self.put_off(work.delivery, record, Hold.LEASE, why.message)
            case Done():
                raise ValueError("an error is no end of an attempt")
            case _:
                assert_never(why)

    async def _claim(self, request: ClaimRequest) -> ClaimResult:
        """The answer, waited for although the caller is cancelled: nobody else knows of a lease that is granted."""
        claiming = asyncio.create_task(self.deps.ledger.claim(request), name=f"claim-{request.key}")
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            try:
                async with asyncio.timeout(_RELEASE_WAIT_S):
                    granted = await claiming
            except Exception as problem:
                log.warning("lease.not_released", subject=str(request.subject), error=str(problem))
            else:
                if isinstance(granted, Claimed):
                    await self._let_go(granted)
            raise

    async def _let_go(self, claimed: Claimed) -> None:
        """Shutting down, or the message is somebody else's: let the subject go, so that nobody waits for the lease."""
        stopped = Waiting(Hold.STOPPED, "the replica stopped, or lost the message", self.deps.runtime.now())
        await self._release_quickly(claimed, error=None, waiting=stopped)

    async def _not_claimed(self, work: Work, obstacle: Obstacle) -> Verdict:
        match obstacle:
            case Finished(record=record):
                return await self.endings.repeat(record)
            case OtherContent():
                return await self.endings.reject_other_content(work.delivery, work.event)
        record = work.record or await self.deps.ledger.admit(admission_of(work.event, now=work.delivery.received_at))
        match obstacle:
            case Held(until=until, by_replica=replica, subject=subject):
                wait_s = max(self.deps.config.defer_min_s, until - self.deps.runtime.now())
                message = f"{subject} is held by replica {replica}"
                return await self.put_off(work.delivery, record, Hold.LEASE, message, wait_s)
            case Missing(facet=facet):
                return await self._too_early(work, record, facet)
            case NameTaken(deleting=True, by_subject=other, name=name):
                message = f"the name {name} is not free before {other} is deleted"
                return await self.put_off(work.delivery, record, Hold.NAME, message)
            case _:
                return await self.endings.finish(work.delivery, record, outcome_of(obstacle, work.event))

    async def _too_early(self, work: Work, record: Record, facet: str) -> Verdict:
        """Wait for what creates the subject, unless it cannot come before this event has gone."""
        message = f"{work.event.subject} has not been created: nothing is known of its {facet}"
        if work.delivery.group == str(work.event.subject):
            outcome = Outcome(
                OutcomeKind.FAILED,
                reason=Reason.DEFERRED_TOO_LONG,
                message=f"{message}, and nothing overtakes this event in its FIFO group",
            )
            return await self.endings.finish(work.delivery, record, outcome)
        return await self.put_off(work.delivery, record, Hold.SUBJECT, message)

    async def _attempt(
        self, work: Work, handler: Handler, claimed: Claimed, lease: Lease, data: EventData
    ) -> AttemptResult:
        ticket, group = work.ticket, work.delivery.group
        work.context = RunContext(
            self.deps,
            handler=handler,
            event=work.event,
            claimed=claimed,
            lease=lease,
            # A FIFO group keeps its order: given back, the event would come first again, and be pre-empted again, for ever.
            newer_delete=lambda: group is None and ticket.preempted,
        )
        work.started = self.deps.runtime.monotonic()
        work.delivery.enter(Phase.RUNNING)
        try:
            # What this event has changed itself, in an earlier attempt, is not in the plan any more.
            if work.event.envelope.planhash is not None and not claimed.changed:
                given = Foreseen(claimed.generation, claimed.desired)
                await self.planner.hold_to(work.event.envelope.planhash, handler, work.event, data, given)
            return await run_attempt(self.deps, handler, work.context, data, lease)
        except Exception as error:
            return result_of(error, None)
        finally:
            work.started = None

    async def _settle(
        self, work: Work, handler: Handler, claimed: Claimed, attempted: AttemptResult, *, deletes: bool
    ) -> Verdict:
        match attempted:
            case Done():
                return await self._finish_claimed(work, claimed, Outcome(OutcomeKind.SUCCEEDED), deletes=deletes)
            case Failed():
                return await self._failed(work, handler, claimed, attempted)
            case PutOff():
                return await self._deferred(work, claimed, attempted)
            case Lost(message=message):
                log.warning("attempt.lease_lost", detail=message)
                # A word in the ledger, so that this is not taken for a crash; whoever has taken over is not disturbed.
                await self._release_quickly(claimed, error=f"{Reason.LEASE_LOST.value}: {message}", waiting=None)
                return Defer(self.deps.config.defer_min_s)
            case _:
                assert_never(attempted)

    async def _failed(self, work: Work, handler: Handler, claimed: Claimed, failure: Failed) -> Verdict:
        if failure.final:
            outcome = Outcome(OutcomeKind.FAILED, reason=failure.reason, message=failure.message, step=failure.step)
            return await self._finish_claimed(work, claimed, outcome)
        runtime, kept_until = self.deps.runtime, work.delivery.retained_until
        delay_s = attempt_delay_s(handler.retry, claimed.attempt, runtime, failure.retry_after)
        attempts = f"{claimed.attempt} attempts"
        if claimed.attempt >= handler.retry.max_attempts:
            return await self._exhausted(work, claimed, failure, attempts)
        if kept_until is not None and runtime.now() + delay_s > kept_until:
            return await self._exhausted(
                work, claimed, failure, f"{attempts}, and the queue keeps the message for no more"
            )
        await self._give_back(handler, claimed, failure, delay_s)
        return Retry(delay_s)

    async def _exhausted(self, work: Work, claimed: Claimed, failure: Failed, attempts: str) -> Verdict:
        message = f"{attempts}; the last: {failure.reason.value}: {failure.message}"
        outcome = Outcome(OutcomeKind.FAILED, reason=Reason.ATTEMPTS_EXHAUSTED, message=message, step=failure.step)
        return await self._finish_claimed(work, claimed, outcome)

    async def _give_back(self, handler: Handler, claimed: Claimed, failure: Failed, delay_s: float) -> None:
        """Let the subject go until the next attempt."""
        now = self.deps.runtime.now()
        await self.deps.ledger.release(
            claimed.claim,
            error=f"{failure.reason.value}: {failure.message}",
            waiting=Waiting(Hold.RETRY, f"attempt {claimed.attempt}: {failure.message}", now + delay_s),
            now=now,
        )
        self.deps.metrics.handler_retries.labels(handler.event.type, failure.reason.value).inc()
        self.endings.audit_put_off(claimed.record, Hold.RETRY, failure.message, now + delay_s)
        log.warning(
            "attempt.failed",
            attempt=claimed.attempt,
            step=failure.step,
            reason=failure.reason.value,
            detail=failure.message,
            delay_s=round(delay_s, 3),
        )

    async def _deferred(self, work: Work, claimed: Claimed, put_off: PutOff) -> Verdict:
        await self.deps.ledger.release(claimed.claim, error=None, waiting=None, now=self.deps.runtime.now())
        config, retry_after = self.deps.config, put_off.retry_after
        if put_off.reason is Reason.PREEMPTED:
            # A delete that had to give its place back is here again within a lease: the subject is left to it until then.
            retry_after = config.lease_s + config.lane_wait_s
        hold = _HOLDS.get(put_off.reason, Hold.WAITING)
        return await self.put_off(work.delivery, claimed.record, hold, put_off.message, retry_after)

    async def _finish_claimed(
        self, work: Work, claimed: Claimed, outcome: Outcome, *, deletes: bool = False
    ) -> Verdict:
        try:
            return await self.endings.finish(
                work.delivery, claimed.record, outcome, claim=claimed.claim, deletes=deletes
            )
        except LeaseLost as error:
            log.warning("attempt.lease_lost", detail=error.message)
            now, delay_s = self.deps.runtime.now(), self.deps.config.defer_min_s
            await self.deps.ledger.wait(claimed.record.key, Waiting(Hold.LEASE, error.message, now + delay_s), now=now)
            return Defer(delay_s)

    def _audit_claim(self, claimed: Claimed) -> None:
        record = claimed.record
        self.deps.audit.append(
            AuditKind.EVENT_CLAIMED,
            event_id=record.event_id,
            type=record.type,
            subject=record.subject,
            generation=record.generation,
            digest=record.digest,
            epoch=record.epoch,
            attempt=claimed.attempt,
            token=claimed.claim.token,
        )

    async def _release_quickly(self, claimed: Claimed, *, error: str | None, waiting: Waiting | None) -> None:
        try:
            async with asyncio.timeout(_RELEASE_WAIT_S):
                await self.deps.ledger.release(claimed.claim, error=error, waiting=waiting, now=self.deps.runtime.now())
        except Exception as problem:
            # The lease then ends by itself.
            log.warning("lease.not_released", subject=str(claimed.claim.subject), error=str(problem))
