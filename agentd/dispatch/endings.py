"""How a delivery ends: outcome and report made durable, then, with lane and place given up, report sent, disposition told."""

import math
from dataclasses import dataclass, replace

from agentd.core import (
    AuditKind,
    DeadLetter,
    Deadline,
    Defer,
    Delete,
    Delivery,
    Disposition,
    Hold,
    Outcome,
    OutcomeKind,
    Phase,
    Reason,
    Retry,
    lean,
)
from agentd.dispatch.deps import Deps
from agentd.events import Event, Malformed, report_id
from agentd.ledger import Claim, Ending, Record, RecordState, Waiting
from agentd.telemetry import get_logger

log = get_logger("dispatch")

# A provider's error text may be long; reports and attributes have limits.
_MOST_MESSAGE = 2000
_OF_THE_CUSTOMER = frozenset({Hold.POLICY, Hold.WINDOW, Hold.APPROVAL, Hold.QUOTA, Hold.BUDGET})
# What an unverified message says of itself may be as long as the message; a report that repeats it must fit its queue.
_MOST_KNOWN = 256


def disposition_of(record: Record) -> Disposition:
    """What becomes of every delivery of a finished event: the same each time, which is how duplicates end."""
    outcome = record.outcome
    if outcome is None:
        raise ValueError(f"{record.key} is not finished")
    if outcome.dead_letters:
        return DeadLetter(
            record.key, record.epoch, outcome.kind, outcome.reason or Reason.INTERNAL_ERROR, outcome.message
        )
    return Delete()


def waits_since(record: Record, delivery: Delivery, *, now: float) -> float:
    """When an open event's waiting began. Who redrives an event knows of its age: its wait starts with the redriven message."""
    if record.epoch == 1:
        return record.admitted_at
    return delivery.sent_at or record.started_at or now


def _bounded(outcome: Outcome) -> Outcome:
    if len(outcome.message) <= _MOST_MESSAGE:
        return outcome
    return replace(outcome, message=outcome.message[:_MOST_MESSAGE])


@lean(frozen=True, slots=True)
class Ended:
    """The event's end is durable; its report is still to be sent off."""

    record: Record


Verdict = Ended | Retry | Defer


@dataclass(frozen=True, slots=True)
class Endings:
    """Writes ends down and sees their reports off."""

    deps: Deps

    async def reject_message(self, delivery: Delivery, error: Malformed) -> Ended:
        """End a message that is no event, under the transport's id: a forged event must not burn a genuine one's."""
        key = f"message/{delivery.message_id}"
        ended = await self.deps.ledger.lookup(key)
        if ended is not None:
            return await self.repeat(ended)
        known = {name: value[:_MOST_KNOWN] for name, value in error.attributes.items() if isinstance(value, str)}
        record = await self.deps.ledger.finish(
            Ending(
                key=key,
                epoch=1,
                outcome=Outcome(OutcomeKind.REJECTED, reason=error.reason, message=error.message[:_MOST_MESSAGE]),
                report_id=report_id(key, 1),
                now=self.deps.runtime.now(),
                event_id=known.get("id"),
                type=known.get("type"),
                subject=known.get("subject", ""),
                event=delivery.body,
            )
        )
        return self._concluded(delivery, record)

    async def reject_other_content(self, delivery: Delivery, event: Event) -> Ended:
        """End a message that brings other content under a known event's id."""
        known = Malformed(
            f"id: {event.envelope.id} is known with other content",
            reason=Reason.CONFLICT,
            attributes=event.envelope.model_dump(mode="json", include={"id", "type", "subject"}),
        )
        return await self.reject_message(delivery, known)

    async def reject_event(self, delivery: Delivery, event: Event, outcome: Outcome) -> Ended:
        """End an event that is not admitted, under its own id."""
        envelope = event.envelope
        record = await self.deps.ledger.finish(
            Ending(
                key=event.key,
                epoch=1,
                outcome=outcome,
                report_id=report_id(event.key, 1),
                now=self.deps.runtime.now(),
                event_id=envelope.id,
                digest=event.digest,
                type=envelope.type,
                subject=envelope.subject,
                generation=envelope.generation,
                event=event.text,
            )
        )
        if record.digest != event.digest:  # another message of this id has come in between, and has been ended
            return await self.reject_other_content(delivery, event)
        return self._concluded(delivery, record)

    async def finish(
        self, delivery: Delivery, record: Record, outcome: Outcome, *, claim: Claim | None = None, deletes: bool = False
    ) -> Ended:
        """End an admitted event. Raises LeaseLost when the claim's lease is over."""
        finished = await self.deps.ledger.finish(
            Ending(
                key=record.key,
                epoch=record.epoch,
                outcome=_bounded(outcome),
                report_id=report_id(record.key, record.epoch),
                now=self.deps.runtime.now(),
                claim=claim,
                deletes=deletes,
            )
        )
        return self._concluded(delivery, finished)

    async def repeat(self, record: Record) -> Ended:
        """End a delivery of an event that is finished already: the same report and the same disposition again."""
        await self.deps.ledger.repeat_report(record.key, now=self.deps.runtime.now())
        self.deps.audit.append(
            AuditKind.EVENT_REPEATED,
            key=record.key,
            event_id=record.event_id,
            epoch=record.epoch,
            outcome=record.outcome and record.outcome.kind.value,
            reason=record.outcome and record.outcome.reason and record.outcome.reason.value,
        )
        log.info("event.duplicate", outcome=record.outcome and record.outcome.kind.value, epoch=record.epoch)
        return Ended(record)

    async def tell(self, delivery: Delivery, verdict: Verdict) -> Disposition:
        """The disposition of a delivery: of an end, once its report has been sent."""
        if not isinstance(verdict, Ended):
            return verdict
        delivery.enter(Phase.REPORTING)
        await self.deps.audit.flush()
        try:
            with Deadline(self.deps.config.report_wait_s):
                await self.deps.outlet.deliver(verdict.record)
        except TimeoutError:
            # The report is safe in the outbox; a later delivery of the message finds the event finished.
            log.warning("report.delayed", waited_s=self.deps.config.report_wait_s)
            return Defer(self.deps.config.defer_max_s)
        return disposition_of(verdict.record)

    def give_back(self, delivery: Delivery, event: Event, *, hold: Hold, message: str, delay_s: float) -> Defer | None:
        """Give the message back as if it had not come: the ledger is told nothing. None when it might end meanwhile."""
        back_at = self.deps.runtime.now() + delay_s
        expiry = event.envelope.expirytime
        if (expiry is not None and back_at > expiry.timestamp()) or back_at > (delivery.retained_until or math.inf):
            return None
        self.deps.metrics.events_put_off.labels(hold.value).inc()
        log.debug("event.given_back", why=hold.value, detail=message, delay_s=round(delay_s, 3))
        return Defer(delay_s)

    async def put_off(
        self, delivery: Delivery, record: Record, *, hold: Hold, message: str, delay_s: float
    ) -> Ended | Defer:
        """Give the message back without blame; the end comes when the wait would outlive expiry or retention."""
        now = self.deps.runtime.now()
        limit = self._waits_until(record, delivery, hold, now)
        if delivery.retained_until is not None:
            limit = min(limit, delivery.retained_until)
        if now + delay_s > limit:
            outcome = Outcome(OutcomeKind.FAILED, reason=Reason.DEFERRED_TOO_LONG, message=f"waited in vain: {message}")
            return await self.finish(delivery, record, outcome)
        await self.deps.ledger.wait(record.key, Waiting(hold, message, now + delay_s), now=now)
        self.audit_put_off(record, hold, message, now + delay_s)
        self.deps.metrics.events_put_off.labels(hold.value).inc()
        log.info("event.deferred", why=hold.value, detail=message, delay_s=round(delay_s, 3))
        return Defer(delay_s)

    def audit_put_off(self, record: Record, hold: Hold, message: str, until: float) -> None:
        """An entry of the audit log: the event waits."""
        self.deps.audit.append(
            AuditKind.EVENT_PUT_OFF,
            event_id=record.event_id,
            type=record.type,
            subject=record.subject,
            epoch=record.epoch,
            hold=hold.value,
            message=message,
            until=until,
        )

    def _waits_until(self, record: Record, delivery: Delivery, hold: Hold, now: float) -> float:
        """When waiting for what must come first ends. The customer's own wait may be longer than any other: over a weekend."""
        if record.epoch == 1 and record.expires_at is not None:
            return record.expires_at
        if hold in _OF_THE_CUSTOMER:
            return math.inf
        return waits_since(record, delivery, now=now) + self.deps.config.default_expiry_s

    def _concluded(self, delivery: Delivery, record: Record) -> Ended:
        """Count and log a new end."""
        outcome = record.outcome
        if outcome is None or record.state is not RecordState.FINISHED:
            raise ValueError(f"{record.key} is not finished")
        self._observe(delivery, record, outcome)
        self._audit_end(record, outcome)
        return Ended(record)

    def _observe(self, delivery: Delivery, record: Record, outcome: Outcome) -> None:
        known_type = record.type if record.type in self.deps.handlers else "unknown"
        reason = outcome.reason.value if outcome.reason else ""
        seconds = max(0.0, self.deps.runtime.now() - delivery.received_at)
        metrics = self.deps.metrics
        metrics.event_outcomes.labels(known_type, outcome.kind.value, reason).inc()
        metrics.event_duration.labels(known_type, outcome.kind.value).observe(seconds)
        metrics.event_attempts.labels(known_type).observe(record.attempts)
        log.info(
            "event.finished",
            outcome=outcome.kind.value,
            reason=reason,
            changed=record.changed,
            attempts=record.attempts,
            step=outcome.step,
            seconds=round(seconds, 3),
            detail=outcome.message,
        )

    def _audit_end(self, record: Record, outcome: Outcome) -> None:
        self.deps.audit.append(
            AuditKind.EVENT_FINISHED
            if record.attempts or outcome.kind is OutcomeKind.SUCCEEDED
            else AuditKind.EVENT_REFUSED,
            key=record.key,
            event_id=record.event_id,
            type=record.type,
            subject=record.subject,
            generation=record.generation,
            digest=record.digest,
            epoch=record.epoch,
            outcome=outcome.kind.value,
            reason=outcome.reason and outcome.reason.value,
            changed=record.changed,
            step=outcome.step,
            message=outcome.message,
        )
