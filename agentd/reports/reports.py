"""The outbox: what must be told goes out at least once, in batches, whatever the reports queue does meanwhile.

A replica sends what it finished itself at once, and now and then looks into the ledger for what a stopped one left
behind. What the queue has taken leaves the ledger a moment later, many reports at a time: a crash in between sends them
again, under their ids. Progress and heartbeats go out when they can; a lost one is made up for by the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from agentd.core import AgentError, Reason, RetryPolicy, Runtime, TransientError
from agentd.events import Event, report_id
from agentd.events.reports import DriftReport, Heartbeat
from agentd.ledger import Claimed, Ledger, Record
from agentd.reports.config import ReportsConfig
from agentd.reports.outbound import Message, Outbound
from agentd.reports.render import (
    Identity,
    Progress,
    drift_message,
    heartbeat_message,
    outcome_message,
    progress_message,
)
from agentd.telemetry import Health, Metrics, Pulse, get_logger

log = get_logger("reports")

_IDLE_S = 30.0  # between two signs of life of a loop that has nothing to do
_SEND_S = 15.0  # above the time-outs of the calls that one batch takes
_LEDGER_S = 30.0  # as long as the ledger takes to say that it does not answer
_COMPANY_S = 0.05  # for which a batch that is not full waits, while one goes out after the other
_SETTLE_S = 0.1  # between what the ledger is told of sent reports; far below the age at which one counts as left behind


@dataclass(slots=True)
class _Pending:
    """A report on its way. One that the queue has refused waits until `due_at`, on the loop's clock, and nobody waits for it."""

    message: Message
    sent: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: int = 0
    due_at: float = 0.0


class Reports:
    """Implements the dispatcher's outlet. `run` must be running for anything to go out.

    `on_full` is told True when the outbox has reached its limit, and False when half of it is gone.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        ledger: Ledger,
        outbound: Outbound,
        heartbeat: Callable[[int], Awaitable[Heartbeat]],
        on_full: Callable[[bool], None],
        runtime: Runtime,
        metrics: Metrics,
        health: Health,
        config: ReportsConfig,
    ) -> None:
        self._identity = identity
        self._ledger = ledger
        self._outbound = outbound
        self._heartbeat = heartbeat
        self._on_full = on_full
        self._runtime = runtime
        self._metrics = metrics
        self._config = config
        self._pending: dict[str, _Pending] = {}
        self._taken: set[str] = set()
        self._settle = asyncio.Event()
        self._progress: dict[str, Progress] = {}
        self._wake = asyncio.Event()
        self._crowd = asyncio.Event()
        self._full = False
        self._backoff = RetryPolicy(base_s=config.retry_base_s, cap_s=config.retry_cap_s)
        self._outbox_pulse = health.pulse("outbox")
        self._settle_pulse = health.pulse("outbox-settle")
        self._sweep_pulse = health.pulse("outbox-sweep")
        self._progress_pulse = health.pulse("progress")
        self._heartbeat_pulse = health.pulse("heartbeat")

    async def deliver(self, record: Record) -> None:
        """Returns once the reports queue has taken the record's report."""
        await self._enqueue(record).sent.wait()

    def progress(
        self, event: Event, claimed: Claimed, *, order: int, step: str, number: int, of: int, message: str
    ) -> None:
        """Keep the newest progress of an event, to be sent with the next batch."""
        self._progress[event.key] = Progress(event, claimed, order, step, number, of, message)

    async def drift(self, report: DriftReport) -> None:
        """Returns once the reports queue has taken it. TransientError: it has not, or has not said so."""
        message = drift_message(self._identity, report, new_id=self._runtime.new_id(), now=self._runtime.now())
        (problem,) = await self._send([message])
        if problem is not None:
            raise TransientError(Reason.UNAVAILABLE, f"the reports queue did not take a report of drift: {problem}")
        self._metrics.reports_sent.labels("drift").inc()

    async def run(self) -> None:
        """Send for ever."""
        async with asyncio.TaskGroup() as group:
            self._runtime.spawn(group, self._send_reports(), "outbox")
            self._runtime.spawn(group, self._settle_reports(), "outbox-settle")
            self._runtime.spawn(group, self._sweep_outbox(), "outbox-sweep")
            self._runtime.spawn(group, self._send_progress(), "progress")
            self._runtime.spawn(group, self._send_heartbeats(), "heartbeat")

    async def flush(self) -> None:
        """Returns when nothing is waiting to be sent in this process, and the ledger has been told of what was."""
        while self._pending:
            await next(iter(self._pending.values())).sent.wait()
        await self._tell_ledger()

    # -- outcomes ------------------------------------------------------------------------------------------------------

    def _enqueue(self, record: Record) -> _Pending:
        identifier = report_id(record.key, record.epoch)
        pending = self._pending.get(identifier)
        if pending is None:
            message = outcome_message(self._identity, record)
            pending = self._pending[identifier] = _Pending(message)
            self._wake.set()
            if len(self._pending) >= self._config.batch:
                self._crowd.set()
        return pending

    async def _send_reports(self) -> None:
        failures = 0
        while True:
            batch = self._due()
            if not batch:
                await self._wait_for_work()
            elif await self._send_batch(batch):
                failures = 0
                await self._wait_for_company()
            else:
                failures += 1
                pause = self._runtime.full_jitter(self._backoff.ceiling_s(failures))
                self._outbox_pulse.beat("pausing after a failed send", within_s=pause)
                await self._runtime.sleep(pause)

    def _due(self) -> list[_Pending]:
        now = self._runtime.monotonic()
        return list(islice((one for one in self._pending.values() if one.due_at <= now), self._config.batch))

    async def _wait_for_work(self) -> None:
        self._wake.clear()
        self._outbox_pulse.beat("waiting for reports", within_s=_IDLE_S)
        now = self._runtime.monotonic()
        next_due_s = min((pending.due_at - now for pending in self._pending.values()), default=_IDLE_S)
        try:
            async with asyncio.timeout(min(next_due_s, _IDLE_S)):
                await self._wake.wait()
        except TimeoutError:
            if not self._pending:
                self._outbox_pulse.succeeded()

    async def _wait_for_company(self) -> None:
        """After a batch: a call for ten reports costs as much as one for a single report."""
        self._crowd.clear()
        if len(self._pending) >= self._config.batch:
            return
        try:
            async with asyncio.timeout(_COMPANY_S):
                await self._crowd.wait()
        except TimeoutError:
            return

    async def _send_batch(self, batch: Sequence[_Pending]) -> bool:
        """Whether the queue has answered. What was refused is tried again, less and less often."""
        self._outbox_pulse.beat(f"sending a batch of {len(batch)}", within_s=_SEND_S)
        try:
            answers = await self._send([pending.message for pending in batch])
        except AgentError as error:
            log.warning("reports.not_sent", reports=len(batch), error=error.message)
            return False
        refused = 0
        for pending, problem in zip(batch, answers, strict=True):
            if problem is None:
                self._went_out(pending)
            else:
                self._put_aside(pending, problem)
                refused += 1
        self._metrics.reports_sent.labels("outcome").inc(len(batch) - refused)
        if not refused:
            self._outbox_pulse.succeeded()
        return True

    def _went_out(self, pending: _Pending) -> None:
        identifier = pending.message.id
        del self._pending[identifier]
        self._taken.add(identifier)
        self._settle.set()
        pending.sent.set()

    async def _send(self, messages: Sequence[Message]) -> Sequence[str | None]:
        try:
            async with asyncio.timeout(_SEND_S):
                return await self._outbound.send(messages)
        except TimeoutError as error:
            raise TransientError(Reason.UNAVAILABLE, f"the reports queue took over {_SEND_S:g} s") from error

    def _put_aside(self, pending: _Pending, problem: str) -> None:
        pending.refusals += 1
        delay_s = self._runtime.full_jitter(self._backoff.ceiling_s(pending.refusals))
        pending.due_at = self._runtime.monotonic() + delay_s
        log.error("report.refused", report_id=pending.message.id, error=problem, delay_s=round(delay_s, 3))

    async def _settle_reports(self) -> None:
        while True:
            await self._wait_for_taken()
            self._settle_pulse.beat("telling the ledger what was sent", within_s=_SETTLE_S + _LEDGER_S)
            await self._runtime.sleep(_SETTLE_S)
            if await self._tell_ledger():
                self._settle_pulse.succeeded()

    async def _wait_for_taken(self) -> None:
        self._settle.clear()
        while not self._taken:
            self._settle_pulse.beat("waiting for reports", within_s=_IDLE_S)
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._settle.wait()
            except TimeoutError:
                self._settle_pulse.succeeded()

    async def _tell_ledger(self) -> bool:
        """Take out of the ledger's outbox what the queue has taken; whether that worked."""
        taken = sorted(self._taken)
        try:
            if taken:
                await self._ledger.sent(taken)
        except AgentError as error:
            log.warning("reports.not_settled", reports=len(taken), error=error.message)
            return False
        self._taken.difference_update(taken)
        return True

    async def _sweep_outbox(self) -> None:
        while True:
            self._sweep_pulse.beat("looking into the outbox", within_s=2 * _LEDGER_S)
            try:
                await self._look_into_outbox()
                self._sweep_pulse.succeeded()
            except AgentError as error:
                log.warning("outbox.unreadable", error=error.message)
            self._sweep_pulse.beat("sleeping", within_s=self._config.sweep_interval_s)
            await self._runtime.sleep(self._config.sweep_interval_s)

    async def _look_into_outbox(self) -> None:
        waiting = max(0, (await self._ledger.stats()).outbox - len(self._taken))
        self._metrics.outbox_size.set(waiting)
        limit = self._config.outbox_limit
        if not self._full and waiting >= limit:
            self._full = True
            self._on_full(True)
        elif self._full and waiting <= limit // 2:
            self._full = False
            self._on_full(False)
        if not waiting:
            return
        now = self._runtime.now()
        for entry in await self._ledger.outbox(limit):
            finished_at = entry.record.finished_at
            left_behind = finished_at is not None and finished_at < now - self._config.left_behind_s
            if left_behind and entry.report_id not in self._taken:
                self._enqueue(entry.record)

    # -- progress and heartbeats -----------------------------------------------------------------------------------------

    async def _send_progress(self) -> None:
        while True:
            newest, self._progress = list(self._progress.values()), {}
            now = self._runtime.now()
            messages = [
                progress_message(self._identity, progress, new_id=self._runtime.new_id(), now=now)
                for progress in newest
            ]
            batches = [
                messages[start : start + self._config.batch] for start in range(0, len(messages), self._config.batch)
            ]
            if all([await self._send_advisory(batch, "progress", self._progress_pulse) for batch in batches]):
                self._progress_pulse.succeeded()
            self._progress_pulse.beat("sleeping", within_s=self._config.progress_interval_s)
            await self._runtime.sleep(self._config.progress_interval_s)

    async def _send_heartbeats(self) -> None:
        number = 0
        while True:
            number += 1
            self._heartbeat_pulse.beat("counting", within_s=_LEDGER_S)
            try:
                heartbeat = await self._heartbeat(number)
            except AgentError as error:
                log.warning("heartbeat.skipped", error=error.message)
            else:
                message = heartbeat_message(
                    self._identity, heartbeat, new_id=self._runtime.new_id(), now=self._runtime.now()
                )
                if await self._send_advisory([message], "heartbeat", self._heartbeat_pulse):
                    self._heartbeat_pulse.succeeded()
            self._heartbeat_pulse.beat("sleeping", within_s=self._config.heartbeat_interval_s)
            await self._runtime.sleep(self._config.heartbeat_interval_s)

    async def _send_advisory(self, messages: Sequence[Message], kind: str, pulse: Pulse) -> bool:
        """Whether the queue has taken all of them."""
        pulse.beat(f"sending a batch of {len(messages)}", within_s=_SEND_S)
        try:
            answers = await self._send(messages)
        except AgentError as error:
            log.info("advisory.not_sent", kind=kind, messages=len(messages), error=error.message)
            return False
        problems = [problem for problem in answers if problem is not None]
        if problems:
            log.info("advisory.not_sent", kind=kind, messages=len(problems), error=problems[0])
        self._metrics.reports_sent.labels(kind).inc(len(answers) - len(problems))
        return not problems
