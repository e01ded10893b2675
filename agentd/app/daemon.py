"""The daemon: everything opened, put together, set to work, and closed."""

import os
import platform
import socket
from contextlib import AsyncExitStack

from agentd import __version__
from agentd.app import telling
from agentd.app.audit import open_log
from agentd.app.customer import open_boundary
from agentd.app.operations import AgentOperations
from agentd.app.parts import Parts, Replica
from agentd.app.platform import open_platform
from agentd.app.queues import open_queues
from agentd.app.stopping import ExitCode, Misconfigured, Stop, exit_hard_after
from agentd.app.supervision import Supervisor
from agentd.app.watching import watch
from agentd.app.wiring import wire
from agentd.bus import Intake
from agentd.core import AuditLog, NoAudit, PermanentError, Runtime, spare_the_collector
from agentd.dispatch import BadHandlers, load_handlers
from agentd.ledger.opening import open_ledger
from agentd.platform import Cluster
from agentd.settings import Settings
from agentd.telemetry import Health, Metrics, Tracing, TracingUnavailable, get_logger
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

    async def run(self) -> ExitCode:
        """Open everything, work until asked to stop, drain, and close. Raises Misconfigured."""
        try:
            async with AsyncExitStack() as stack:
                parts = await self._assemble(stack)
                if parts is None:
                    return ExitCode.DRAINED
                spare_the_collector()
                return await Supervisor(self._replica, parts, exit_hard_after).run()
        except (PermanentError, BadHandlers, TracingUnavailable) as error:
            raise Misconfigured(str(error)) from error

    async def _assemble(self, stack: AsyncExitStack) -> Parts | None:
        """Everything, open; None when the wish to stop came first."""
        settings, runtime, replica = self._settings, self._runtime, self._replica
        replica.handlers = load_handlers()
        replica.health.readiness("agent", lambda: None if replica.parts else "still starting")
        replica.health.readiness("commands", lambda: telling.not_receiving(replica))
        watch(replica)
        telemetry = await self._listen(stack)
        tracing = Tracing(settings.telemetry, version=__version__, replica=replica.name)
        stack.callback(tracing.shutdown)
        ledger = await open_ledger(settings.ledger, settings.aws, settings.azure, runtime, observe=self._observe_ledger)
        stack.push_async_callback(ledger.close)
        replica.health.invariant("ledger", ledger.check)
        audit = await open_log(stack, replica)
        told: AuditLog = NoAudit() if audit is None else audit.log
        boundary = await open_boundary(stack, replica, ledger, told)
        queues = await open_queues(stack, settings, runtime, self._stop)
        if queues is None:
            return None
        opened = await open_platform(stack, settings, runtime, replica.metrics)
        parts = wire(
            replica,
            queues=queues,
            ledger=ledger,
            platform=opened,
            boundary=boundary,
            audit=audit,
            tracing=tracing,
            proxy=self._proxy(opened.cluster, told),
        )
        replica.metrics.build_info.labels(__version__, platform.python_version()).set(1)
        log.info(
            "agent.started",
            version=__version__,
            replica=replica.name,
            handlers=sorted(replica.handlers),
            http_port=telemetry.port,
        )
        await parts.proxy.start()
        stack.push_async_callback(parts.proxy.close)
        replica.parts = parts
        return parts

    async def _listen(self, stack: AsyncExitStack) -> TelemetryServer:
        config, replica = self._settings.telemetry, self._replica
        telemetry = TelemetryServer(config, replica.metrics, replica.health, status=lambda: telling.status(replica))
        try:
            await telemetry.start()
        except OSError as error:
            raise Misconfigured(
                f"telemetry.http_host, telemetry.http_port: cannot listen on {config.http_host}:{config.http_port}: "
                f"{os.strerror(error.errno or 0)}; choose an address of this machine and a free port"
            ) from error
        stack.push_async_callback(telemetry.stop)
        return telemetry

    def _proxy(self, cluster: Cluster | None, audit: AuditLog) -> Proxy:
        replica = self._replica
        return Proxy(
            self._settings.proxy,
            AgentOperations(replica, cluster),
            cluster,
            owner_id=self._settings.owner_id,
            runtime=self._runtime,
            metrics=replica.metrics,
            health=replica.health,
            audit=audit,
        )

    def _observe_ledger(self, operation: str, result: str, seconds: float) -> None:
        self._replica.metrics.ledger_operation_duration.labels(operation, result).observe(seconds)
