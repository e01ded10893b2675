"""From a delivery to its disposition: the way of an event, in order.

decode, signature, ledger lookup, admission, lane, claim, steps, outcome with its report, report sent. Every arrow may
crash; the next delivery of the message starts over and finds in the ledger how far this one came.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

from agentd.core import (
    AgentError,
    Defer,
    Delivery,
    Disposition,
    Outcome,
    OutcomeKind,
    PermanentError,
    Reason,
    Retry,
    RetryPolicy,
    TransientError,
)
from agentd.dispatch.admission import decide
from agentd.dispatch.deps import Deps
from agentd.dispatch.endings import Ended, Endings, Verdict
from agentd.dispatch.lanes import Lanes, Ticket
from agentd.dispatch.leases import LeaseKeeper
from agentd.dispatch.retries import attempt_delay_s
from agentd.dispatch.runner import Runner, Work
from agentd.events import Event, Malformed, attach, decode
from agentd.ledger import Admission, Record, RecordState
from agentd.telemetry import Health, bind_event, get_logger

log = get_logger("dispatch")

# How a delivery is tried again when the ledger does not answer.
_STORE_TROUBLE = RetryPolicy(base_s=1.0, cap_s=60.0)

Decide = Callable[[Delivery], Awaitable[Disposition]]


class Dispatcher:
    """Decides what becomes of deliveries; the bus carries it out."""

    def __init__(self, deps: Deps, health: Health) -> None:
        self._deps = deps
        self._lanes = Lanes(deps.config.lane_depth)
        self._leases = LeaseKeeper(deps.ledger, deps.runtime, health, lease_s=deps.config.lease_s)
        self._endings = Endings(deps)
        self._runner = Runner(deps, self._leases, self._endings)
        self._places = asyncio.Semaphore(deps.config.max_running)
        self._works: set[Work] = set()

    async def run(self) -> None:
        """Keep held leases alive, for ever."""
        await self._leases.run()

    async def handle(self, delivery: Delivery) -> Disposition:
        """The disposition of one delivery. Raises nothing but CancelledError."""
        return await self._guarded(delivery, self._decide)

    async def sweep(self, delivery: Delivery) -> Disposition:
        """The disposition of a message that the queue has moved to the dead-letter queue by itself."""
        return await self._guarded(delivery, self._decide_swept)

    def status(self) -> list[Mapping[str, object]]:
        """What is held, running and waiting, for `/status` and the heartbeat."""
        return [self._describe(work) for work in self._works]

    # -- receive to admission ------------------------------------------------------------------------------------------

    async def _decide(self, delivery: Delivery) -> Disposition:
        try:
            event = self._believe(delivery)
        except Malformed as error:
            return await self._endings.tell(delivery, await self._endings.reject_message(delivery, error))
        with self._about(event):
            with self._queue_up(event) as ticket:
                record = await self._known(delivery, event)
                verdict = record if isinstance(record, Ended) else await self._go_on(delivery, event, record, ticket)
            return await self._endings.tell(delivery, verdict)

    def _believe(self, delivery: Delivery) -> Event:
        """The event in the message. Raises Malformed when there is none, or none that may be believed."""
        event = decode(delivery.body)
        self._deps.verify(event)
        return event

    @contextmanager
    def _about(self, event: Event) -> Iterator[None]:
        """Logs and spans within are about the event."""
        envelope = event.envelope
        with (
            bind_event(
                event_id=envelope.id, type=envelope.type, subject=envelope.subject, traceparent=envelope.traceparent
            ),
            self._deps.tracing.span(
                "event",
                traceparent=envelope.traceparent,
                event_id=envelope.id,
                type=envelope.type,
                subject=envelope.subject,
                generation=envelope.generation,
            ),
        ):
            yield

    async def _known(self, delivery: Delivery, event: Event) -> Record | Ended:
        """The event's record, admitted now if it is new; the end of one that is refused."""
        record = await self._deps.ledger.lookup(event.key)
        if record is None:
            refusal = decide(event, self._deps.audience, now=self._deps.runtime.now())
            if refusal is not None:
                return await self._endings.reject_event(delivery, event, refusal)
            record = await self._admit(event)
        if record.digest == event.digest:
            return record
        known = Malformed(
            f"id: {event.envelope.id} is known with other content",
            reason=Reason.CONFLICT,
            attributes=event.envelope.model_dump(mode="json", include={"id", "type", "subject"}),
        )
        return await self._endings.reject_message(delivery, known)

    async def _go_on(self, delivery: Delivery, event: Event, record: Record, ticket: Ticket | None) -> Verdict:
        """Repeat the end of a finished event; bring an open one to its end, in a new epoch if it is redriven."""
        if record.state is RecordState.FINISHED:
            if not _asks_for_next_epoch(delivery, record):
                return await self._endings.repeat(record)
            record = await self._deps.ledger.reopen(record.key, epoch=record.epoch, now=self._deps.runtime.now())
        if record.epoch > 1:
            # A redrive lifts no refusal: what was never admitted is judged again, by the time when it first came.
            refusal = decide(event, self._deps.audience, now=record.admitted_at)
            if refusal is not None:
                return await self._endings.finish(delivery, record, refusal)
        if ticket is None:
            message = f"too many events of {event.subject} wait already"
            return await self._runner.put_off(delivery, record, "lane", message, self._comes_back_in_s(event))
        return await self._take_turn(Work(delivery, event, record, ticket))

    async def _admit(self, event: Event) -> Record:
        envelope = event.envelope
        return await self._deps.ledger.admit(
            Admission(
                key=event.key,
                event_id=envelope.id,
                digest=event.digest,
                type=envelope.type,
                subject=event.subject,
                generation=envelope.generation,
                event=event.text,
                expires_at=envelope.expirytime.timestamp() if envelope.expirytime else None,
                now=self._deps.runtime.now(),
            )
        )

    # -- lane ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def _queue_up(self, event: Event) -> Iterator[Ticket | None]:
        # Before the first await, so that order of arrival is kept. What a claim check would lock is not known yet; the
        # ledger's locks hold for it all the same.
        locks = event.data.locks() if event.data is not None else ()
        with self._lanes.ticket(
            event.subject, event.envelope.generation, deletes=event.data_class.deletes, locks=locks
        ) as ticket:
            yield ticket

    async def _take_turn(self, work: Work) -> Verdict:
        self._works.add(work)
        try:
            try:
                refusal = await self._fetch_data(work)
            except TransientError as error:
                return await self._runner.put_off(
                    work.delivery, work.record, "artifacts", error.message, error.retry_after
                )
            if refusal is not None:
                return await self._endings.finish(work.delivery, work.record, refusal)
            self._lanes.admit(work.ticket)
            waited_for = await self._wait_for_turn(work.ticket)
            if waited_for is not None:
                message = f"other events go before this one of {work.event.subject}"
                retry_after = self._comes_back_in_s(work.event)
                return await self._runner.put_off(work.delivery, work.record, waited_for, message, retry_after)
            return await self._run(work)
        finally:
            self._works.discard(work)

    def _comes_back_in_s(self, event: Event) -> float | None:
        """A delete comes back soon: what it pre-empts leaves the subject to it for one lease. Others as they have waited."""
        return self._deps.config.lease_s / 2 if event.data_class.deletes else None

    async def _fetch_data(self, work: Work) -> Outcome | None:
        """Redeem a claim check; the rejection when it cannot be. TransientError: the store does not answer."""
        ref = work.event.envelope.claim_check
        if ref is None:
            return None
        if self._deps.artifacts is None:
            return Outcome(
                OutcomeKind.REJECTED, reason=Reason.UNSUPPORTED, message="dataref: no artifact store is set up"
            )
        limit_bytes = self._deps.config.claim_check_max_bytes
        try:
            work.event = attach(work.event, await self._deps.artifacts.fetch(ref.uri, limit_bytes=limit_bytes))
        except PermanentError as error:
            return Outcome(OutcomeKind.REJECTED, reason=error.reason, message=error.message)
        return decide(work.event, self._deps.audience, now=work.record.admitted_at)

    async def _wait_for_turn(self, ticket: Ticket) -> str | None:
        """Wait for the lane and then for a running place, which the caller gives back; else what was waited for."""
        waiting = "lane"
        gauge = self._deps.metrics.events_waiting
        try:
            async with asyncio.timeout(self._deps.config.lane_wait_s):
                with gauge.labels("lane").track_inprogress():
                    await ticket.ready.wait()
                waiting = "slot"
                with gauge.labels("slot").track_inprogress():
                    await self._places.acquire()
        except TimeoutError:
            return waiting
        return None

    async def _run(self, work: Work) -> Verdict:
        try:
            if work.event.data is None:
                raise ValueError(f"{work.event.key} has no data")
            return await self._runner.run(work, work.event.data)
        finally:
            self._places.release()

    # -- what the queue moved by itself --------------------------------------------------------------------------------

    async def _decide_swept(self, delivery: Delivery) -> Disposition:
        try:
            event = self._believe(delivery)
        except Malformed as error:
            return await self._endings.tell(delivery, await self._endings.reject_message(delivery, error))
        with self._about(event):
            record = await self._known(delivery, event)
            verdict = record if isinstance(record, Ended) else await self._give_up(delivery, event, record)
            return await self._endings.tell(delivery, verdict)

    async def _give_up(self, delivery: Delivery, event: Event, record: Record) -> Verdict:
        """End an event that the queue hands out no more, unless somebody may yet bring it to a better end."""
        if record.state is RecordState.FINISHED:
            return await self._endings.repeat(record)
        held_s = await self._held_s(event)
        if held_s > 0:
            return Defer(held_s)
        message = f"handed out {delivery.receive_count} times without an end, then moved aside by the queue"
        outcome = Outcome(OutcomeKind.FAILED, reason=Reason.RECEIVE_LIMIT, message=message)
        return await self._endings.finish(delivery, record, outcome)

    async def _held_s(self, event: Event) -> float:
        """Seconds that some replica's lease for this very event lasts: it may yet bring it to an end."""
        state = await self._deps.ledger.subject(event.subject)
        if state is None or state.held_by is None or state.held_by.by_key != event.key:
            return 0.0
        return state.held_by.until - self._deps.runtime.now()

    # -- around it all -------------------------------------------------------------------------------------------------

    async def _guarded(self, delivery: Delivery, decide_on: Decide) -> Disposition:
        try:
            return await decide_on(delivery)
        except Exception as error:
            # The ledger is in trouble, or somebody else holds the event: show the message again later.
            log.warning(
                "delivery.put_back",
                message_id=delivery.message_id,
                error=str(error),
                exc_info=not isinstance(error, AgentError),
            )
            return Retry(attempt_delay_s(_STORE_TROUBLE, delivery.receive_count, self._deps.runtime, None))

    def _describe(self, work: Work) -> Mapping[str, object]:
        running_s = None if work.started is None else round(self._deps.runtime.monotonic() - work.started, 3)
        return {
            "event_id": work.event.envelope.id,
            "type": work.event.envelope.type,
            "subject": work.event.envelope.subject,
            "generation": work.event.envelope.generation,
            "running_s": running_s,
            "step": work.context.current_step if work.context else None,
        }


def _asks_for_next_epoch(delivery: Delivery, record: Record) -> bool:
    """Whether the message has come back from the dead-letter queue since the epoch ended there, whoever moved it."""
    return delivery.dead_letter_epoch == record.epoch and record.outcome is not None and record.outcome.dead_letters
