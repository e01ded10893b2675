"""One task for each message held: hand it to the handler, carry out what it decides, leave the table."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from agentd.bus.acks import SHORTEST_DELAY_S, Acks
from agentd.bus.deps import Deps
from agentd.bus.letters import epoch_of
from agentd.bus.protocol import Received
from agentd.bus.table import Reservation, Row, Stop
from agentd.core import Defer, Delete, Delivery, Disposition, Phase, Retry
from agentd.telemetry import get_logger

log = get_logger("bus")

Handle = Callable[[Delivery], Awaitable[Disposition]]

_SMOOTHING = 0.05


@dataclass(slots=True)
class DrainSummary:
    """What became of the deliveries held when the drain began, and of those that open polls brought afterwards.

    `finished` by their own disposition, `released` unstarted, `cancelled` in the middle and given back, `left` without a
    word to the queue (lost, or not given back in time): those show again when their lease runs out.
    """

    finished: int = 0
    released: int = 0
    cancelled: int = 0
    left: int = 0


class Deliveries:
    """All deliveries of one consumer. Their rows say why one is ended from outside."""

    def __init__(self, deps: Deps, *, acks: Acks, handle: Handle) -> None:
        self._queue = deps.queue
        self._table = deps.table
        self._runtime = deps.runtime
        self._received = deps.metrics.events_received.labels(queue=deps.queue.name)
        self._age = deps.metrics.event_queue_age.labels(queue=deps.queue.name)
        self._config = deps.config
        self._acks = acks
        self._handle = handle
        self._summary: DrainSummary | None = None
        self._deferred = 0.0

    @property
    def mostly_deferred(self) -> bool:
        """Whether most of what was received of late could not be worked on: more of it would do nobody good."""
        return self._deferred > 1 / 2

    def drain(self) -> DrainSummary:
        """Release what has not begun, and from now on whatever arrives. The summary grows with what ends."""
        self._summary = DrainSummary()
        self.release(Phase.BUFFERED)
        return self._summary

    def release(self, *phases: Phase) -> None:
        """End the deliveries in these phases, or all, and show their messages again at once."""
        for row in self._table.rows(*phases):
            row.end(Stop.RELEASED)

    def accept(self, group: asyncio.TaskGroup, messages: Sequence[Received], reservation: Reservation) -> None:
        """Every message gets a row and a task, in the order received; one that is held already, its newest receipt."""
        # SQS counts from when it hands the message out; the lease is extended long before the way here matters.
        now = self._runtime.monotonic()
        visible_until = now + self._config.visibility_s
        cap_at = now + self._queue.limits.max_visibility_s - self._config.lease_margin_s
        self._received.inc(len(messages))
        for message in messages:
            if held := self._table.get(message.message_id):
                log.info("delivery.received_again", message_id=message.message_id, phase=held.phase)
                held.received_again(message, visible_until=visible_until, cap_at=cap_at)
                continue
            row = Row(self._delivery(message), message.receipt, visible_until, cap_at)
            row.delivery.on_phase = partial(self._table.move, row)
            if self._summary is not None:
                row.end(Stop.RELEASED)
            elif self._would_overtake(row):
                row.end(Stop.PARKED, delay_s=SHORTEST_DELAY_S)
            self._table.admit(row, reservation)
            self._table.attach(row, self._runtime.spawn(group, self._deliver(row), f"delivery-{row.message_id}"))

    def _delivery(self, message: Received) -> Delivery:
        now = self._runtime.now()
        if message.sent_at is not None and message.receive_count == 1:
            self._age.observe(max(now - message.sent_at, 0.0))
        return Delivery(
            message_id=message.message_id,
            body=message.body,
            received_at=now,
            queue=self._queue.name,
            sent_at=message.sent_at,
            receive_count=message.receive_count,
            # On a standard queue a group only spreads load over tenants; it keeps no order.
            group=message.group if self._queue.limits.fifo else None,
            dead_letter_epoch=epoch_of(message.attributes),
            retained_until=self._retained_until(message),
            attributes=message.attributes,
        )

    def _retained_until(self, message: Received) -> float | None:
        if message.expires_at is not None or message.sent_at is None:
            return message.expires_at
        return message.sent_at + self._queue.limits.retention_s

    async def _deliver(self, row: Row) -> None:
        began_at = self._runtime.monotonic()
        result = "left"
        try:
            if row.stop is None:
                await self._work_unless_ended(row)
            if row.stop in (Stop.RELEASED, Stop.PARKED):
                result = await self._acks.give_back(row, delay_s=row.stop_delay_s)
        finally:
            self._table.remove(row)
            self._sum_up(row, given_back=result == "done")
        if row.stop is not None:
            seconds = self._runtime.monotonic() - began_at
            why = row.stop.name.lower()
            log.info("delivery.ended", message_id=row.message_id, why=why, result=result, seconds=round(seconds, 3))

    async def _work_unless_ended(self, row: Row) -> None:
        """Work until the delivery has come to its end, or the bus ends it: the row says which."""
        try:
            with row.work:
                await self._work(row)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Cancelled by something of its own, not by the bus: as good as an unexpected error.
            row.end(Stop.RELEASED, delay_s=self._delay_after_error(row.delivery))

    async def _work(self, row: Row) -> None:
        began_at = self._runtime.monotonic()
        disposition = await self._decide(row.delivery)
        if row.stop is not None:  # the handler has answered its cancellation with a disposition: too late
            return
        row.comes_back = isinstance(disposition, (Retry, Defer))
        self._deferred += (isinstance(disposition, Defer) - self._deferred) * _SMOOTHING
        self._park_group(row, disposition)
        result = await self._acks.carry_out(row, disposition)
        # Of the ordinary end others have told all that is of interest.
        ordinary = log.debug if isinstance(disposition, Delete) else log.info
        tell = ordinary if result == "done" else log.warning
        tell(
            "delivery.done",
            message_id=row.message_id,
            disposition=type(disposition).__name__.lower(),
            result=result,
            receive_count=row.delivery.receive_count,
            seconds=round(self._runtime.monotonic() - began_at, 3),
        )

    async def _decide(self, delivery: Delivery) -> Disposition:
        try:
            return await self._handle(delivery)
        except Exception:
            log.exception("delivery.crashed", message_id=delivery.message_id, receive_count=delivery.receive_count)
            return Retry(self._delay_after_error(delivery))

    def _delay_after_error(self, delivery: Delivery) -> float:
        delay_s = self._runtime.full_jitter(self._config.retry.ceiling_s(max(delivery.receive_count, 1)))
        return max(delay_s, SHORTEST_DELAY_S)

    def _would_overtake(self, row: Row) -> bool:
        """Whether something of the row's FIFO group is still on its way back, though the queue shows it again already.

        The queue's answer is late, or was lost.
        """
        group = row.delivery.group
        return group is not None and any(
            other.goes_back and other.delivery.group == group for other in self._table.rows()
        )

    def _park_group(self, row: Row, disposition: Disposition) -> None:
        """What follows in the row's FIFO group must not overtake it: what has not begun comes back as late as the row.

        The handler has only just decided, so nothing of the group that waited for it has had a turn yet.
        """
        group = row.delivery.group
        if group is None or not isinstance(disposition, (Retry, Defer)):
            return
        for other in self._table.rows(Phase.BUFFERED):
            if other is not row and other.delivery.group == group:
                other.end(Stop.PARKED, delay_s=max(disposition.delay_s, SHORTEST_DELAY_S))

    def _sum_up(self, row: Row, *, given_back: bool) -> None:
        summary = self._summary
        if summary is None:
            return
        if row.stop is None:
            summary.finished += 1
        elif not given_back:
            summary.left += 1
        elif row.stopped_in is Phase.BUFFERED:
            summary.released += 1
        else:
            summary.cancelled += 1
