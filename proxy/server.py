"""The proxy: the daemon's request/reply face."""

import asyncio
import os
import ssl

from grpclib.health.check import ServiceStatus
from grpclib.health.service import OVERALL
from grpclib.health.service import Health as HealthService
from grpclib.reflection.service import ServerReflection

from agentd.core import AuditLog, NoAudit, Operations, PermanentError, Reason, Runtime
from agentd.platform import ClusterReader
from agentd.telemetry import Health, Metrics, get_logger
from proxy.calls import Calls
from proxy.config import ProxyConfig
from proxy.connections import Connections
from proxy.routes import Servable, routes
from proxy.services.agent import AgentService
from proxy.services.cluster import ClusterService
from proxy.services.environments import EnvironmentsService
from proxy.tls import ServerTls

log = get_logger("proxy")

COMPONENT = "proxy"
"""Its name in readiness, and its loop's in liveness."""

_LOOK_S = 5.0
_FLUSH_S = 2.0  # for the last words on every connection
_HANDSHAKE_S = 10.0  # a peer that does not get further holds a socket alone
_NO_AUDIT = NoAudit()


class Proxy:
    """Serves the agent's calls, with health and reflection. `cluster` is None where the installation has none.

    The way of its life: `start`, `run` in a task of its own, `drain`, `close`. Closing without a drain ends calls at once.
    """

    def __init__(
        self,
        config: ProxyConfig,
        operations: Operations,
        cluster: ClusterReader | None,
        *,
        owner_id: str,
        runtime: Runtime,
        metrics: Metrics,
        health: Health,
        audit: AuditLog = _NO_AUDIT,
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._health = health
        self._serving = ServiceStatus()
        self._calls = Calls(routes(self._services(operations, cluster, owner_id)), config, runtime, metrics, audit)
        self._connections = Connections(self._calls, config)
        self._listener: asyncio.Server | None = None
        self._port: int | None = None
        self._tls: ServerTls | None = None
        self._unready: str | None = "still starting"
        if config.listen_port is not None:
            health.readiness(COMPONENT, lambda: self._unready)

    @property
    def port(self) -> int | None:
        """The port that it listens on; None when it is off, or `start` has not returned."""
        return self._port

    async def start(self) -> None:
        """Listen, unless it is off. Raises PermanentError that names the setting which does not work."""
        if self._config.listen_port is None:
            return
        self._tls = ServerTls(self._config)
        self._listener = await self._listen(self._config.listen_port, self._tls.context)
        self._port = self._listener.sockets[0].getsockname()[1]
        self._serving.set(True)
        self._unready = None
        log.info("proxy.started", host=self._config.listen_host, port=self._port, tls=self._config.tls)

    async def run(self) -> None:
        """See that it goes on, for ever, and take up certificates that have changed.

        RuntimeError when nothing listens any more although it should.
        """
        pulse = self._health.pulse(COMPONENT)
        try:
            while True:
                if self._listener is not None and not self._listener.is_serving():
                    raise RuntimeError("the proxy has stopped to listen")
                if self._tls is not None:
                    self._tls.refresh()
                pulse.succeeded()
                pulse.beat("sleeping", within_s=_LOOK_S)
                await self._runtime.sleep(_LOOK_S)
        finally:
            self._health.stopped(pulse)

    async def drain(self, grace_s: float | None = None) -> None:
        """Take no more calls, and wait until those at work have ended; at most the grace period, the setting's if not given.

        Health says NOT_SERVING, callers are told to open their next streams elsewhere (GOAWAY), and those that call here
        nevertheless get UNAVAILABLE. Health checks are answered all the while. Streams that never end by themselves go on
        until `close`, and are not waited for.
        """
        if self._listener is None:
            return
        grace_s = self._config.drain_grace_s if grace_s is None else grace_s
        self._serving.set(False)
        self._unready = "draining"
        self._calls.refuse()
        self._connections.go_away()
        log.info("proxy.draining", calls=len(self._calls.table), connections=len(self._connections), grace_s=grace_s)
        try:
            async with asyncio.timeout(grace_s):
                await self._calls.table.finished()
        except TimeoutError:
            log.warning("proxy.grace_over", calls=len(self._calls.table))

    async def close(self) -> None:
        """End what is still at work with UNAVAILABLE, then every connection. Returns when nothing is left."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        self._serving.set(False)
        self._unready = "closed"
        listener.close()
        self._calls.refuse()
        self._calls.table.cut_short()
        try:
            async with asyncio.timeout(_FLUSH_S):
                await self._calls.table.gone()
        except TimeoutError:
            log.warning("proxy.calls_left", calls=len(self._calls.table))
        await self._connections.close(within_s=_FLUSH_S)
        await self._calls.table.gone()
        await listener.wait_closed()
        log.info("proxy.closed")

    async def _listen(self, port: int, context: ssl.SSLContext | None) -> asyncio.Server:
        host = self._config.listen_host
        handshake_s = None if context is None else _HANDSHAKE_S
        try:
            return await asyncio.get_running_loop().create_server(
                self._connections.make, host, port, ssl=context, ssl_handshake_timeout=handshake_s
            )
        except OSError as error:
            raise PermanentError(
                Reason.INVALID_REQUEST,
                f"proxy.listen_host, proxy.listen_port: cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}; "
                "choose an address of this machine and a free port",
            ) from error

    def _services(self, operations: Operations, cluster: ClusterReader | None, owner_id: str) -> list[Servable]:
        services: list[Servable] = [
            AgentService(operations),
            EnvironmentsService(
                cluster, owner_id=owner_id, heartbeat_s=self._config.heartbeat_s, runtime=self._runtime
            ),
            ClusterService(cluster),
        ]
        checks = {service: [self._serving] for service in (*services, OVERALL)}
        return ServerReflection.extend([*services, HealthService(checks)])
