"""The daemon: put together, supervised, drained."""

import asyncio
import os
import platform
import socket
from contextlib import AsyncExitStack

from agentd import __version__
from agentd.app import telling
from agentd.app.operations import AgentOperations
from agentd.app.parts import Parts, Replica
from agentd.app.platform import open_platform
from agentd.app.queues import ReportsQueue, open_queues
from agentd.app.stopping import ExitCode, Misconfigured, Stop, exit_hard_after, for_ever
from agentd.bus import Consumer, Intake, Queue
from agentd.core import AgentError, PermanentError, Runtime
from agentd.dispatch import BadHandlers, Deps, Dispatcher, Ports, load_handlers
from agentd.events import Audience
from agentd.ledger import Ledger
from agentd.ledger.sqlite import SqliteLedger
from agentd.platform import Cluster
from agentd.reports import Identity, Reports
from agentd.settings import Settings
from agentd.telemetry import Health, Metrics, Tracing, TracingUnavailable, get_logger, watch_lag
from agentd.telemetry.http import TelemetryServer
from proxy.server import Proxy

log = get_logger("app")


class Daemon:
    """One replica. `run` returns when it has drained; a part that fails takes the whole down."""

    def __init__(self, settings: Settings, runtime: Runtime, stop: Stop) -> None:
        metrics = Metrics()
        self._replica = Replica(
            name=f"{socket.gethostname()[:40]}-{runtime.new_id()[:8]}",
            settings=settings,
            runtime=runtime,
            stop=stop,
            metrics=metrics,
            health=Health(runtime),
            intake=Intake(metrics),
            started_at=runtime.now(),
        )
        self._settings = settings
        self._runtime = runtime
        self._stop = stop
        self._audience = Audience(settings.tenant_id, settings.cluster_id)

    async def run(self) -> ExitCode:
        """Open everything, work until asked to stop, drain, and close. Raises Misconfigured."""
        try:
            async with AsyncExitStack() as stack:
                parts = await self._assemble(stack)
                return ExitCode.DRAINED if parts is None else await self._supervise(parts)
        except (PermanentError, BadHandlers, TracingUnavailable) as error:
            raise Misconfigured(str(error)) from error

    # -- putting together ----------------------------------------------------------------------------------------------

    async def _assemble(self, stack: AsyncExitStack) -> Parts | None:
        """Everything, open; None when the wish to stop came first."""
        settings, runtime, replica = self._settings, self._runtime, self._replica
        replica.handlers = load_handlers()
        replica.health.readiness("agent", lambda: None if replica.parts else "still starting")
        replica.health.readiness("commands", lambda: telling.not_receiving(replica))
        telemetry = await self._listen(stack)
        tracing = Tracing(settings.telemetry, version=__version__, replica=replica.name)
        stack.callback(tracing.shutdown)
        ledger = await SqliteLedger.open(settings.ledger, observe=self._observe_ledger)
        stack.push_async_callback(ledger.close)
        queues = await open_queues(stack, settings, runtime, self._stop)
        if queues is None:
            return None
        opened = await open_platform(stack, settings, runtime, replica.metrics)
        reports = self._reports(ledger, queues.reports)
        deps = Deps(
            audience=self._audience,
            owner_id=settings.owner_id,
            replica=replica.name,
            config=settings.dispatch,
            handlers=replica.handlers,
            ports=Ports(opened.ports),
            ledger=ledger,
            outlet=reports,
            artifacts=opened.artifacts,
            runtime=runtime,
            metrics=replica.metrics,
            tracing=tracing,
        )
        dispatcher = Dispatcher(deps, replica.health)
        consumer = Consumer(
            queue=queues.commands,
            dead_letters=queues.dead_letters,
            handle=dispatcher.handle,
            sweep=dispatcher.sweep,
            intake=replica.intake,
            runtime=runtime,
            metrics=replica.metrics,
            health=replica.health,
            config=settings.bus,
        )
        replica.metrics.build_info.labels(__version__, platform.python_version()).set(1)
        log.info(
            "agent.started",
            version=__version__,
            replica=replica.name,
            handlers=sorted(replica.handlers),
            http_port=telemetry.port,
        )
        proxy = await self._proxy(stack, opened.cluster)
        replica.parts = Parts(queues, ledger, consumer, dispatcher, reports, proxy)
        return replica.parts

    async def _listen(self, stack: AsyncExitStack) -> TelemetryServer:
        config, replica = self._settings.telemetry, self._replica
        telemetry = TelemetryServer(
            config, replica.metrics, replica.health, status=lambda: telling.status(replica), runtime=self._runtime
        )
        try:
            await telemetry.start()
        except OSError as error:
            raise Misconfigured(
                f"telemetry.http_host, telemetry.http_port: cannot listen on {config.http_host}:{config.http_port}: "
                f"{os.strerror(error.errno or 0)}; choose an address of this machine and a free port"
            ) from error
        stack.push_async_callback(telemetry.stop)
        return telemetry

    async def _proxy(self, stack: AsyncExitStack, cluster: Cluster | None) -> Proxy:
        replica = self._replica
        proxy = Proxy(
            self._settings.proxy,
            AgentOperations(replica),
            cluster,
            owner_id=self._settings.owner_id,
            runtime=self._runtime,
            metrics=replica.metrics,
            health=replica.health,
        )
        await proxy.start()
        stack.push_async_callback(proxy.close)
        return proxy

    def _reports(self, ledger: Ledger, queue: Queue) -> Reports:
        settings, replica = self._settings, self._replica
        return Reports(
            identity=Identity(settings.source, self._audience, settings.owner_id, replica.name, __version__),
            ledger=ledger,
            outbound=ReportsQueue(queue),
            heartbeat=lambda number: telling.heartbeat(replica, number),
            on_full=self._on_outbox_full,
            runtime=self._runtime,
            metrics=replica.metrics,
            health=replica.health,
            config=settings.reports,
        )

    # -- running and stopping ------------------------------------------------------------------------------------------

    async def _supervise(self, parts: Parts) -> ExitCode:
        """Run until drained. A part that ends by itself takes everything down."""
        spawn, replica = self._runtime.spawn, self._replica
        lag = watch_lag(self._runtime, replica.metrics, replica.health, self._settings.telemetry)
        async with asyncio.TaskGroup() as group:
            others = [
                spawn(group, for_ever(parts.dispatcher.run(), "dispatcher"), "dispatcher"),
                spawn(group, for_ever(parts.reports.run(), "reports"), "reports"),
                spawn(group, for_ever(self._maintain(parts.ledger), "maintenance"), "maintenance"),
                spawn(group, for_ever(lag, "loop-lag"), "loop-lag"),
                spawn(group, for_ever(parts.proxy.run(), "proxy"), "proxy"),
            ]
            stopping = spawn(group, self._drain_when_asked(parts.consumer), "stop")
            answering = spawn(group, self._answer_until_drained(parts.proxy), "answer")
            summary = await parts.consumer.run()
            log.info("agent.drained", finished=summary.finished, released=summary.released, cancelled=summary.cancelled)
            await self._flush(parts.reports)
            if self._stop.drain.is_set():
                await answering
            for task in (*others, stopping, answering):
                task.cancel()
        if self._stop.abort.is_set():
            return ExitCode.ABORTED
        return ExitCode.DRAINED if self._stop.drain.is_set() else ExitCode.FAILED

    async def _drain_when_asked(self, consumer: Consumer) -> None:
        await self._stop.drain.wait()
        drain = self._settings.drain
        self._replica.intake.pause("draining")
        exit_hard_after(drain.hard_exit_s)
        log.info("agent.draining", grace_s=drain.grace_s)
        consumer.drain(drain.grace_s)
        await self._stop.abort.wait()
        log.warning("agent.aborting")
        consumer.abort()

    async def _answer_until_drained(self, proxy: Proxy) -> None:
        """From the wish to stop on, calls at work get their grace; an abort ends them."""
        await self._stop.drain.wait()
        async with asyncio.TaskGroup() as group:
            draining = self._runtime.spawn(group, proxy.drain(), "drain-proxy")
            aborted = self._runtime.spawn(group, self._stop.abort.wait(), "abort")
            await asyncio.wait((draining, aborted), return_when=asyncio.FIRST_COMPLETED)
            draining.cancel()
            aborted.cancel()

    async def _flush(self, reports: Reports) -> None:
        try:
            async with asyncio.timeout(self._settings.drain.flush_s):
                await reports.flush()
        except TimeoutError:
            log.warning("reports.left_behind", flush_s=self._settings.drain.flush_s)

    async def _maintain(self, ledger: Ledger) -> None:
        """Forget what is older than any redelivery, and keep the ledger's counts fresh."""
        config, metrics = self._settings.ledger, self._replica.metrics
        pulse = self._replica.health.pulse("maintenance", late_after_s=60.0 + 2 * config.maintenance_interval_s)
        while True:
            pulse.beat()
            try:
                gone = await ledger.purge(finished_before=self._runtime.now() - config.retention_s)
                stats = await ledger.stats()
            except AgentError as error:
                log.warning("maintenance.failed", error=error.message)
            else:
                pulse.succeeded()
                if gone:
                    log.info("ledger.purged", records=gone)
                for kind in ("open_events", "finished_events", "leases", "subjects", "tombstones"):
                    metrics.ledger_records.labels(kind).set(getattr(stats, kind))
            await self._runtime.sleep(config.maintenance_interval_s)

    def _on_outbox_full(self, full: bool) -> None:
        log.warning("outbox.full" if full else "outbox.has_room")
        if full:
            self._replica.intake.pause("outbox_full")
        else:
            self._replica.intake.resume("outbox_full")

    def _observe_ledger(self, operation: str, result: str, seconds: float) -> None:
        self._replica.metrics.ledger_operation_duration.labels(operation, result).observe(seconds)
