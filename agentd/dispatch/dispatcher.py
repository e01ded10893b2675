"""From a delivery to its disposition: the way of an event, in order.

decode, signature, admission, policy, lane, place, claim, steps, outcome with its report, report sent. Every arrow may
crash; the next delivery of the message starts over and finds in the ledger how far this one came.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from agentd.core import (
    AgentError,
    Defer,
    Delivery,
    Disposition,
    Hold,
    Outcome,
    OutcomeKind,
    PermanentError,
    Reason,
    Retry,
    RetryPolicy,
    TransientError,
)
from agentd.dispatch.admission import admission_of, decide, outcome_of_refusal
from agentd.dispatch.comebacks import Away, Comebacks
from agentd.dispatch.deps import Deps
from agentd.dispatch.endings import Ended, Endings, Verdict
from agentd.dispatch.lanes import Lanes, Ticket
from agentd.dispatch.leases import LeaseKeeper
from agentd.dispatch.places import Places
from agentd.dispatch.planning import Planner
from agentd.dispatch.policy import Allow, Refuse
from agentd.dispatch.retries import attempt_delay_s
from agentd.dispatch.runner import Runner, Work
from agentd.events import Event, Malformed, attach, decode
from agentd.ledger import Record, RecordState
from agentd.telemetry import Health, bind_event, get_logger

log = get_logger("dispatch")

# How a delivery is tried again when the ledger does not answer.
_STORE_TROUBLE = RetryPolicy(base_s=1.0, cap_s=60.0)
_UNWRITTEN = 3  # a message that finds no room is given back so many times before its event is written down

Decide = Callable[[Delivery], Awaitable[Disposition]]


class Dispatcher:
    """Decides what becomes of deliveries; the bus carries it out."""

    def __init__(self, deps: Deps, health: Health) -> None:
        config = deps.config
        self._deps = deps
        self._comebacks = Comebacks(deps.runtime, least_s=config.defer_min_s, most_s=config.defer_max_s)
        self._away = Away(deps.runtime)
        self._lanes = Lanes(config.lane_depth, flow_depth=config.flow_depth, comebacks=self._comebacks)
        self._places = Places(config.max_running, share=config.flow_share_percent / 100, runtime=deps.runtime)
        self._leases = LeaseKeeper(
            deps.ledger, deps.runtime, health, lease_s=config.lease_s, clock_skew_s=config.clock_skew_s
        )
        self._endings = Endings(deps)
        planner = Planner(
            deps.prepare_plan, deps.runtime, step_retry_s=config.step_retry_s, step_retry_cap_s=config.step_retry_cap_s
        )
        self._runner = Runner(deps, self._leases, self._endings, planner)
        self._works: set[Work] = set()
        health.invariant("lanes", self._lanes.check)
        health.invariant("places", self._places.check)

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

    @property
    def full(self) -> bool:
        """Whether as much is held as may run at once."""
        return len(self._works) >= self._deps.config.max_running

    def given_back(self) -> list[Mapping[str, object]]:
        """Of what waits for room in its lane without being held, or written down, the newest; as `status` would have it."""
        return self._away.status()

    # -- receive to admission ------------------------------------------------------------------------------------------

    async def _decide(self, delivery: Delivery) -> Disposition:
        try:
            event, key_id = await self._believe(delivery)
        except Malformed as error:
            return await self._endings.tell(delivery, await self._endings.reject_message(delivery, error))
        with self._bound(event), self._span(event):
            with self._ticket(event) as ticket:
                verdict = await self._go_on(delivery, event, ticket, key_id)
            return await self._endings.tell(delivery, verdict)

    async def _believe(self, delivery: Delivery) -> tuple[Event, str | None]:
        """The event in the message, and the id of the key that vouches for it.

        What was believed when it came first still is, whatever has become of its key, or of its age, meanwhile: the ledger
        knows its very content. Raises Malformed when there is no event, or none that may be believed.
        """
        event = decode(delivery.body)
        try:
            return event, self._deps.verify(event)
        except Malformed:
            record = await self._deps.ledger.lookup(event.key)
            if record is None or record.digest != event.digest:
                raise
            return event, None

    def _bound(self, event: Event) -> AbstractContextManager[None]:
        """Lines of the log within are about the event."""
        envelope = event.envelope
        return bind_event(
            event_id=envelope.id, type=envelope.type, subject=envelope.subject, traceparent=envelope.traceparent
        )

    def _span(self, event: Event) -> AbstractContextManager[None]:
        envelope = event.envelope
        return self._deps.tracing.span(
            "event",
            traceparent=envelope.traceparent,
            event_id=envelope.id,
            type=envelope.type,
            subject=envelope.subject,
            generation=envelope.generation,
        )

    async def _go_on(self, delivery: Delivery, event: Event, ticket: Ticket | None, key_id: str | None) -> Verdict:
        """Bring the event to its end, or say when to go on.

        The ordinary event is written down with its claim, in one operation. Whoever comes back from the dead-letter queue,
        is refused, waits for its data or for its lane, or claims nothing is looked up, or written down, first.
        """
        refusal = self._refusal(event, now=self._deps.runtime.now())
        self._away.comes(event)
        ordinary = refusal is None and delivery.dead_letter_epoch is None and event.data is not None
        ordinary = ordinary and not event.plans
        if ticket is None:
            return await self._find_no_room(delivery, event, refusal)
        record: Record | None = None
        if not ticket.ready.is_set() or not ordinary:
            found = await self._open(delivery, event, refusal)
            if isinstance(found, Ended):
                return found
            record = found
        return await self._take_turn(Work(delivery, event, ticket, key_id, record))

    def _refusal(self, event: Event, *, now: float) -> Outcome | None:
        if event.envelope.type not in self._deps.handlers:
            message = f"no handler for {event.envelope.type} is installed"
            return Outcome(OutcomeKind.REJECTED, reason=Reason.UNSUPPORTED, message=message)
        return decide(event, self._deps.audience, now=now)

    async def _open(self, delivery: Delivery, event: Event, refusal: Outcome | None) -> Record | Ended:
        """The event's open record, admitted now if it is new and not refused; else its end, which may be an earlier one."""
        record = await self._known(delivery, event, refusal)
        if isinstance(record, Ended):
            return record
        if record.state is RecordState.FINISHED:
            if not _asks_for_next_epoch(delivery, record):
                return await self._endings.repeat(record)
            record = await self._deps.ledger.reopen(record.key, epoch=record.epoch, now=self._deps.runtime.now())
        if record.epoch > 1:
            # A redrive lifts no refusal: what was never admitted is judged again, by the time when it first came.
            refusal = self._refusal(event, now=record.admitted_at)
            if refusal is not None:
                return await self._endings.finish(delivery, record, refusal)
        return record

    async def _known(self, delivery: Delivery, event: Event, refusal: Outcome | None) -> Record | Ended:
        record = await self._deps.ledger.lookup(event.key)
        if record is None:
            if refusal is not None:
                return await self._endings.reject_event(delivery, event, refusal)
            record = await self._deps.ledger.admit(admission_of(event, now=delivery.received_at))
        if record.digest == event.digest:
            return record
        return await self._endings.reject_other_content(delivery, event)

    # -- lane and place ------------------------------------------------------------------------------------------------

    async def _find_no_room(self, delivery: Delivery, event: Event, refusal: Outcome | None) -> Verdict:
        """Lane or flow is full: the message comes back when there should be room. The first few times nothing is written."""
        delay_s = self._comebacks.delay_s(event.flow)
        if event.data_class.deletes:
            delay_s = min(delay_s, self._deps.config.lease_s / 2)
        message = f"too many events of {event.subject} or its flow wait already"
        if refusal is None and delivery.dead_letter_epoch is None and delivery.receive_count <= _UNWRITTEN:
            given_back = self._endings.give_back(delivery, event, hold=Hold.LANE, message=message, delay_s=delay_s)
            if given_back is not None:
                self._away.goes(event, delay_s)
                return given_back
        found = await self._open(delivery, event, refusal)
        if isinstance(found, Ended):
            return found
        return await self._runner.put_off(delivery, found, Hold.LANE, message, delay_s)

    def _ticket(self, event: Event) -> Ticket | nullcontext[None]:
        # Before the first await, so that order of arrival is kept. What a claim check would lock is not known yet; the
        # ledger's locks hold for it all the same.
        return self._lanes.ticket(
            event.subject,
            event.envelope.generation,
            deletes=event.data_class.deletes and not event.plans,
            locks=event.data.locks() if event.data is not None else (),
            flow=event.flow,
            event_id=event.envelope.id,
            owner=asyncio.current_task(),
        )

    async def _take_turn(self, work: Work) -> Verdict:
        self._works.add(work)
        try:
            try:
                refusal = await self._fetch_data(work)
            except TransientError as error:
                record = await self._open(work.delivery, work.event, None)
                if isinstance(record, Ended):
                    return record
                return await self._runner.put_off(
                    work.delivery, record, Hold.ARTIFACTS, error.message, error.retry_after
                )
            if refusal is not None and work.record is not None:
                return await self._endings.finish(work.delivery, work.record, refusal)
            barred = await self._ask_policy(work)
            if barred is not None:
                return barred
            self._lanes.admit(work.ticket)
            verdict = await self._run_in_turn(work)
            if isinstance(verdict, Hold):
                return await self._give_way(work, verdict)
            return verdict
        finally:
            self._works.discard(work)

    async def _ask_policy(self, work: Work) -> Verdict | None:
        """What the customer's policy makes of an event that has not begun; None when it may, or has begun already."""
        if work.record is not None and work.record.started_at is not None:
            return None
        decision = await self._deps.judge(work.event, work.key_id)
        if isinstance(decision, Allow) or (work.event.plans and not isinstance(decision, Refuse)):
            return None
        refusal = outcome_of_refusal(decision) if isinstance(decision, Refuse) else None
        found = work.record or await self._open(work.delivery, work.event, refusal)
        if isinstance(found, Ended):
            return found
        work.record = found
        if found.started_at is not None:
            return None
        if isinstance(decision, Refuse):
            return await self._endings.finish(work.delivery, found, outcome_of_refusal(decision))
        message = f"rule {decision.rule}: {decision.why}"
        opens_in_s = None if decision.until is None else decision.until - self._deps.runtime.now()
        return await self._runner.put_off(work.delivery, found, decision.hold, message, opens_in_s)

    async def _run_in_turn(self, work: Work) -> Verdict | Hold:
        """Run the event when lane and place are free; else what it has waited for too long."""
        wait_s = self._deps.config.lane_wait_s
        if not work.ticket.ready.is_set():
            clock = self._deps.runtime.monotonic
            give_way_at = clock() + wait_s
            with self._deps.metrics.events_waiting.labels("lane").track_inprogress():
                try:
                    async with asyncio.timeout_at(give_way_at):
                        await work.ticket.ready.wait()
                except TimeoutError:
                    return Hold.LANE
            wait_s = max(0.0, give_way_at - clock())
        async with self._places.place(work.ticket.flow, wait_s=wait_s) as placed:
            if placed:
                return await self._runner.run(work)
        return Hold.SHARE if self._places.at_cap(work.event.flow) else Hold.SLOT

    def _why_it_waits(self, work: Work, hold: Hold) -> str:
        waited = f"for {self._deps.config.lane_wait_s:g} s"
        if hold is Hold.LANE:
            return f"event {self._lanes.ahead_of(work.ticket)} has gone before it {waited}"
        if hold is Hold.SHARE:
            return f"{work.event.flow} has had its share of the running places {waited}"
        return f"all {self._deps.config.max_running} running places have been in use {waited}"

    async def _give_way(self, work: Work, hold: Hold) -> Verdict:
        """Give the message back: others go first. A delete comes back soon, what it pre-empts leaves the subject to it."""
        found = work.record or await self._open(work.delivery, work.event, None)
        if isinstance(found, Ended):
            return found
        retry_after = self._deps.config.lease_s / 2 if work.event.data_class.deletes else None
        return await self._runner.put_off(work.delivery, found, hold, self._why_it_waits(work, hold), retry_after)

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
        admitted_at = self._deps.runtime.now() if work.record is None else work.record.admitted_at
        return decide(work.event, self._deps.audience, now=admitted_at)

    # -- what the queue moved by itself --------------------------------------------------------------------------------

    async def _decide_swept(self, delivery: Delivery) -> Disposition:
        try:
            event, _ = await self._believe(delivery)
        except Malformed as error:
            return await self._endings.tell(delivery, await self._endings.reject_message(delivery, error))
        with self._bound(event), self._span(event):
            refusal = self._refusal(event, now=self._deps.runtime.now())
            record = await self._known(delivery, event, refusal)
            verdict = record if isinstance(record, Ended) else await self._give_up(delivery, event, record)
            return await self._endings.tell(delivery, verdict)

    async def _give_up(self, delivery: Delivery, event: Event, record: Record) -> Verdict:
        """End an event that the queue hands out no more, unless somebody may yet bring it to a better end."""
        if record.state is RecordState.FINISHED:
            if not _asks_for_next_epoch(delivery, record):
                return await self._endings.repeat(record)
            record = await self._deps.ledger.reopen(record.key, epoch=record.epoch, now=self._deps.runtime.now())
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
            "waits_for": self._waits_for(work),
            "behind": self._lanes.ahead_of(work.ticket),
        }

    def _waits_for(self, work: Work) -> Hold | None:
        if work.started is not None:
            return None
        if not work.ticket.ready.is_set():
            return Hold.LANE
        return Hold.SHARE if self._places.at_cap(work.event.flow) else Hold.SLOT


def _asks_for_next_epoch(delivery: Delivery, record: Record) -> bool:
    """Whether the message has come back from the dead-letter queue since the epoch ended there, whoever moved it."""
    return delivery.dead_letter_epoch == record.epoch and record.outcome is not None and record.outcome.dead_letters
