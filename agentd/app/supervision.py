"""A replica's parts at work: run side by side, and stopped in order."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from agentd.app.parts import Parts, Replica
from agentd.app.stopping import ExitCode, for_ever
from agentd.core import AgentError
from agentd.dispatch.policy import forget_expired
from agentd.telemetry import get_logger

log = get_logger("app")

_MAINTENANCE_S = 600.0  # a first purge after a long time goes through very many records


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Runs the parts of one replica. `exit_hard_after` is told the seconds after which a drain counts as hung."""

    replica: Replica
    parts: Parts
    exit_hard_after: Callable[[float], None]

    async def run(self) -> ExitCode:
        """Run until drained. A part that ends by itself takes everything down."""
        replica, parts = self.replica, self.parts
        spawn, stop = replica.runtime.spawn, replica.stop
        async with asyncio.TaskGroup() as group:
            others = [
                spawn(group, for_ever(parts.dispatcher.run(), "dispatcher"), "dispatcher"),
                spawn(group, for_ever(parts.reports.run(), "reports"), "reports"),
                spawn(group, for_ever(self._maintain(), "maintenance"), "maintenance"),
                spawn(group, for_ever(parts.proxy.run(), "proxy"), "proxy"),
                spawn(group, for_ever(parts.boundary.run(replica.runtime), "boundary"), "boundary"),
            ]
            if parts.audit is not None:
                others.append(spawn(group, for_ever(parts.audit.run(), "audit"), "audit"))
            stopping = spawn(group, self._drain_when_asked(), "stop")
            answering = spawn(group, self._answer_until_drained(), "answer")
            sharing = spawn(group, self._share_until_drained(), "shards")
            summary = await parts.consumer.run()
            log.info("agent.drained", finished=summary.finished, released=summary.released, cancelled=summary.cancelled)
            await self._flush()
            if stop.drain.is_set():
                await answering
            for task in (*others, stopping, answering, sharing):
                task.cancel()
        if stop.abort.is_set():
            return ExitCode.ABORTED
        return ExitCode.DRAINED if stop.drain.is_set() else ExitCode.FAILED

    async def _drain_when_asked(self) -> None:
        stop, consumer = self.replica.stop, self.parts.consumer
        await stop.drain.wait()
        drain = self.replica.settings.drain
        self.replica.intake.pause("draining")
        self.exit_hard_after(drain.hard_exit_s)
        log.info("agent.draining", grace_s=drain.grace_s)
        consumer.drain(drain.grace_s)
        await stop.abort.wait()
        log.warning("agent.aborting")
        consumer.abort()

    async def _answer_until_drained(self) -> None:
        """From the wish to stop on, calls at work get their grace; an abort ends them."""
        spawn, stop = self.replica.runtime.spawn, self.replica.stop
        await stop.drain.wait()
        async with asyncio.TaskGroup() as group:
            draining = spawn(group, self.parts.proxy.drain(), "drain-proxy")
            aborted = spawn(group, stop.abort.wait(), "abort")
            await asyncio.wait((draining, aborted), return_when=asyncio.FIRST_COMPLETED)
            draining.cancel()
            aborted.cancel()

    async def _share_until_drained(self) -> None:
        """Work that replicas share, until the wish to stop: from then on it is the others'."""
        spawn = self.replica.runtime.spawn
        async with asyncio.TaskGroup() as group:
            tasks = [spawn(group, for_ever(shards.run(), shards.name), shards.name) for shards in self.parts.shards]
            await self.replica.stop.drain.wait()
            for task in tasks:
                task.cancel()

    async def _flush(self) -> None:
        flush_s = self.replica.settings.drain.flush_s
        try:
            async with asyncio.timeout(flush_s):
                await self.parts.reports.flush()
        except TimeoutError:
            log.warning("reports.left_behind", flush_s=flush_s)

    async def _maintain(self) -> None:
        """Forget what is older than any redelivery, and keep the ledger's counts fresh."""
        ledger, runtime = self.parts.ledger, self.replica.runtime
        config, metrics = self.replica.settings.ledger, self.replica.metrics
        pulse = self.replica.health.pulse("maintenance")
        while True:
            pulse.beat("purging and counting", within_s=_MAINTENANCE_S)
            try:
                gone = await ledger.purge(finished_before=runtime.now() - config.retention_s)
                await forget_expired(ledger, now=runtime.now())
                stats = await ledger.stats()
            except AgentError as error:
                log.warning("maintenance.failed", error=error.message)
            else:
                pulse.succeeded()
                if gone:
                    log.info("ledger.purged", records=gone)
                for kind in ("open_events", "finished_events", "leases", "subjects", "tombstones"):
                    metrics.ledger_records.labels(kind).set(getattr(stats, kind))
            pulse.beat("sleeping", within_s=config.maintenance_interval_s)
            await runtime.sleep(config.maintenance_interval_s)
