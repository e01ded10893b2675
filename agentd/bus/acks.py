"""What becomes of a delivery, carried out: deleted, dead-lettered, or shown again."""

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, assert_never

from agentd.bus.batcher import Batcher
from agentd.bus.deps import Deps
from agentd.bus.leases import Leases
from agentd.bus.letters import dead_letter
from agentd.bus.protocol import Done, EntryFailed, EntryRefused, EntryResult, Outgoing, Queue, ReceiptLost
from agentd.bus.table import Row
from agentd.core import DeadLetter, Defer, Delete, Disposition, Phase, Retry
from agentd.telemetry import get_logger

E = TypeVar("E")

log = get_logger("bus")

SHORTEST_DELAY_S = 1.0
"""Nothing that failed comes back at once: no hot loop. Queues count whole seconds."""


@dataclass(frozen=True, slots=True)
class _Show:
    """Show the row's message again at a moment of the event loop's clock."""

    row: Row
    at: float


class Acks:
    """Carries dispositions out in batches. A receipt that was replaced meanwhile is never taken for the row's own."""

    def __init__(self, deps: Deps, leases: Leases) -> None:
        self._deps = deps
        self._queue = deps.queue
        self._dead_letters = deps.dead_letters
        self._table = deps.table
        self._leases = leases
        self._runtime = deps.runtime
        self._metrics = deps.metrics
        self._config = deps.config
        self._deletes: Batcher[Row] = self._batcher("delete", self._queue, self._delete_batch)
        self._shows: Batcher[_Show] = self._batcher("visibility", self._queue, self._show_batch)
        self._letters: Batcher[Outgoing] = self._batcher("dead-letter", self._dead_letters, self._dead_letters.send)

    def loops(self) -> Iterator[tuple[str, Callable[[], Coroutine[None, None, None]]]]:
        """What must run for this to work, by name."""
        yield "batch-delete", self._deletes.run
        yield "batch-visibility", self._shows.run
        yield "batch-dead-letter", self._letters.run

    async def carry_out(self, row: Row, disposition: Disposition) -> str:
        """The result as metrics name it: done, lost, refused or failed. Cancelled when the lease is lost."""
        self._table.move(row, Phase.DELETING)
        match disposition:
            case Delete():
                return self._count("delete", await self._delete(row))
            case DeadLetter():
                return self._count("dead_letter", await self._dead_letter(row, disposition))
            case Retry(delay_s=delay_s):
                return self._count("retry", await self._show(row, max(delay_s, SHORTEST_DELAY_S)))
            case Defer(delay_s=delay_s):
                return self._count("defer", await self._show(row, max(delay_s, SHORTEST_DELAY_S)))
            case _:
                assert_never(disposition)

    async def give_back(self, row: Row, *, delay_s: float) -> str:
        """Show the message again without a disposition."""
        self._table.move(row, Phase.DELETING)
        return self._count("release", await self._show(row, delay_s))

    async def _dead_letter(self, row: Row, end: DeadLetter) -> EntryResult:
        letter = dead_letter(row.delivery, end, now=self._runtime.now(), limits=self._dead_letters.limits)
        sent = await self._letters.submit(letter)
        if isinstance(sent, Done):
            return await self._delete(row)
        log.error("dead_letter.refused", message_id=row.message_id, key=end.key, error=sent.message)
        await self._show(row, self._config.retry_cap_s)
        return sent

    async def _delete(self, row: Row) -> EntryResult:
        return await self._for_the_newest(row, lambda: self._deletes.submit(row))

    async def _show(self, row: Row, delay_s: float) -> EntryResult:
        await self._leases.let_go(row)
        now = self._runtime.monotonic()
        show = _Show(row, now + max(min(delay_s, row.cap_at - now), 0.0))
        return await self._for_the_newest(row, lambda: self._shows.submit(show, within_s=self._config.ack_timeout_s))

    async def _for_the_newest(self, row: Row, carry: Callable[[], Awaitable[EntryResult]]) -> EntryResult:
        """Again, if the message has come once more by the time that the answer is here: an open poll may be that quick."""
        while True:
            receives = row.receives
            result = await carry()
            if row.receives == receives:
                return result

    async def _delete_batch(self, rows: Sequence[Row]) -> Sequence[EntryResult]:
        receipts = [row.receipt for row in rows]
        results = await self._queue.delete(receipts)
        # Where an extension changes the receipt, one that is on its way may have done so already.
        await self._leases.settled(
            [row for row, result in zip(rows, results, strict=True) if isinstance(result, ReceiptLost)]
        )
        return _if_current(rows, receipts, results)

    async def _show_batch(self, shows: Sequence[_Show]) -> Sequence[EntryResult]:
        now = self._runtime.monotonic()
        rows = [show.row for show in shows]
        receipts = [row.receipt for row in rows]
        changes = [(row.receipt, max(show.at - now, 0.0)) for row, show in zip(rows, shows, strict=True)]
        return _if_current(rows, receipts, await self._queue.change_visibility(changes))

    def _count(self, disposition: str, result: EntryResult) -> str:
        label = _label(result)
        self._metrics.acks.labels(disposition, label).inc()
        return label

    def _batcher(
        self,
        name: str,
        queue: Queue,
        carry: Callable[[Sequence[E]], Awaitable[Sequence[EntryResult]]],
    ) -> Batcher[E]:
        batcher = Batcher(
            carry,
            name=name,
            runtime=self._runtime,
            pulse=self._deps.pulse(f"batch-{name}"),
            max_batch=queue.limits.max_batch,
            linger_s=self._config.batch_linger_s,
            in_flight=self._config.batches_in_flight,
            capacity=self._config.slots,
            retry=self._config.receive_backoff,
        )
        self._deps.health.invariant(f"batches of {name}", batcher.check)
        return batcher


def _if_current(rows: Sequence[Row], receipts: Sequence[str], results: Sequence[EntryResult]) -> Sequence[EntryResult]:
    """What was done with a receipt that a newer one has replaced meanwhile must be done again with that."""
    return [
        result if row.receipt == receipt else EntryFailed("the message was received again meanwhile")
        for row, receipt, result in zip(rows, receipts, results, strict=True)
    ]


def _label(result: EntryResult) -> str:
    match result:
        case Done():
            return "done"
        case ReceiptLost():
            return "lost"
        case EntryRefused():
            return "refused"
        case EntryFailed():
            return "failed"
