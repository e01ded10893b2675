"""One ticker keeps the leases of all rows, from receive until the delete is acknowledged."""

import asyncio
from collections.abc import Sequence

from agentd.bus.deps import Deps
from agentd.bus.protocol import Done, EntryFailed, EntryResult
from agentd.bus.table import Row, Stop
from agentd.core import PermanentError, Phase, TransientError
from agentd.telemetry import get_logger

log = get_logger("bus")

_CALL_S = 15.0  # above the time-out of a call to a queue


class Leases:
    """Extends, in batches, what has a third of its lease left; ends a delivery whose lease is lost."""

    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._table = deps.table
        self._runtime = deps.runtime
        self._metrics = deps.metrics
        self._config = deps.config
        self._pulse = deps.pulse("leases")

    async def run(self) -> None:
        """Tick until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._tick(group)
                self._pulse.beat("sleeping", within_s=self._config.lease_tick_s)
                await self._runtime.sleep(self._config.lease_tick_s)

    async def let_go(self, row: Row) -> None:
        """Extend the row no more, and wait out a call that does so now: what follows sets the visibility for good."""
        row.leased = False
        await self.settled([row])

    async def settled(self, rows: Sequence[Row]) -> None:
        """Wait for the extensions of these rows that are on their way: their answers may bring new receipts."""
        if extensions := {row.extension for row in rows if row.extension is not None}:
            await asyncio.wait(extensions)

    def _tick(self, group: asyncio.TaskGroup) -> None:
        now = self._runtime.monotonic()
        leased = [row for row in self._table.rows() if row.leased and row.stop is None]
        for row in leased:
            if now >= min(row.visible_until, row.cap_at):
                self._lose(row, "capped" if now >= row.cap_at else "lost", "the lease has run out")
        due = [row for row in leased if row.stop is None and row.extension is None and self._due(row, now)]
        size = self._queue.limits.max_batch
        for start in range(0, len(due), size):
            part = due[start : start + size]
            task = self._runtime.spawn(group, self._extend(part), "lease-extension")
            for row in part:
                row.extension = task
        self._observe_age()

    def _due(self, row: Row, now: float) -> bool:
        return row.visible_until - now <= self._config.visibility_s / 3 and row.visible_until < row.cap_at

    async def _extend(self, rows: Sequence[Row]) -> None:
        now = self._runtime.monotonic()
        asked = [(row, row.receipt, min(self._config.visibility_s, row.cap_at - now)) for row in rows]
        try:
            results = await self._results([(receipt, seconds) for _, receipt, seconds in asked])
        finally:
            for row in rows:
                row.extension = None
        for (row, receipt, seconds), result in zip(asked, results, strict=True):
            if row.receipt == receipt and self._table.get(row.message_id) is row:
                self._settle(row, result, until=now + seconds)

    async def _results(self, changes: Sequence[tuple[str, float]]) -> Sequence[EntryResult]:
        try:
            async with asyncio.timeout(_CALL_S):
                results = await self._queue.change_visibility(changes)
        except (TransientError, PermanentError, TimeoutError) as error:
            # Access may be granted again: either way it is tried on every tick while the lease lasts.
            log.warning("lease.extension_failed", messages=len(changes), error=str(error))
            return [EntryFailed(str(error))] * len(changes)
        self._pulse.succeeded()
        return results

    def _settle(self, row: Row, result: EntryResult, *, until: float) -> None:
        match result:
            case Done(receipt=receipt):
                self._metrics.lease_extensions.labels(result="extended").inc()
                row.visible_until = until
                row.receipt = receipt or row.receipt
            case EntryFailed():
                self._metrics.lease_extensions.labels(result="failed").inc()
            case _ if row.phase is not Phase.DELETING:
                self._lose(row, "lost", result.message)
            case _:
                # Its own delete may have been first: the answer to that one decides.
                row.leased = False

    def _lose(self, row: Row, result: str, why: str) -> None:
        self._metrics.lease_extensions.labels(result=result).inc()
        log.warning("lease.lost", message_id=row.message_id, phase=row.phase, why=why)
        row.end(Stop.LOST)

    def _observe_age(self) -> None:
        sent = [row.delivery.sent_at for row in self._table.rows() if row.delivery.sent_at is not None]
        age = max(self._runtime.now() - min(sent), 0.0) if sent else 0.0
        self._metrics.queue_oldest_received_age.labels(queue=self._queue.name).set(age)
