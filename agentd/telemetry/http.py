"""The server of the HTTP pages: a thread of its own, so that a blocked event loop does not keep the pages from saying so."""

import asyncio
import threading
from concurrent.futures import Future

from aiohttp import web
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.registry import Collector

from agentd.telemetry.config import TelemetryConfig
from agentd.telemetry.health import Health
from agentd.telemetry.logs import get_logger
from agentd.telemetry.metrics import Metrics
from agentd.telemetry.pages import Pages, Status
from agentd.telemetry.watchdog import Watchdog

log = get_logger("telemetry")

# Probes and scrapes are short; a page that is read more slowly than this is cut off when the server stops.
_SHUTDOWN_S = 2.0


class TelemetryServer:
    """One process's HTTP pages. `status` gives the JSON of /status. One server for one `Metrics` at a time.

    The loop on which it is started is the one that is watched, and on which `health` and `status` are asked.
    """

    def __init__(self, config: TelemetryConfig, metrics: Metrics, health: Health, status: Status) -> None:
        self._config = config
        self._metrics = metrics
        self._health = health
        self._status = status
        self._serving: _Thread | None = None
        self._collectors: tuple[Collector, ...] = ()
        self._port = config.http_port

    @property
    def port(self) -> int:
        """The port listened on; known once `start` has returned."""
        return self._port

    async def start(self) -> None:
        """Listen. OSError when the address is taken or not this machine's."""
        watched = asyncio.get_running_loop()
        watchdog = Watchdog(self._config, self._health, self._metrics, watched=watched, thread_id=threading.get_ident())
        pages = Pages(self._config, self._metrics, self._health, self._status, watchdog=watchdog, watched=watched)
        serving = _Thread(pages, watchdog, self._config)
        try:
            self._port = await serving.started()
        except BaseException:
            await serving.stop()
            raise
        self._serving = serving
        registry = self._metrics.registry
        self._collectors = (
            ProcessCollector(registry=registry),
            PlatformCollector(registry=registry),
            GCCollector(registry=registry),
        )

    async def stop(self) -> None:
        """Stop listening; open requests get two seconds."""
        if self._serving is None:
            return
        serving, self._serving = self._serving, None
        for collector in self._collectors:
            self._metrics.registry.unregister(collector)
        self._collectors = ()
        await serving.stop()


class _Thread:
    """Serves the pages and runs the watchdog until it is stopped. Its methods are for the loop that has made it."""

    def __init__(self, pages: Pages, watchdog: Watchdog, config: TelemetryConfig) -> None:
        self._pages = pages
        self._watchdog = watchdog
        self._config = config
        self._listening: Future[int] = Future()
        self._stopping = asyncio.Event()
        self._loop = asyncio.SelectorEventLoop()
        # A daemon thread: a process that has to leave in haste does not wait for it.
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    async def started(self) -> int:
        """The port, once it listens. Raises what it fails with."""
        return await asyncio.wrap_future(self._listening)

    async def stop(self) -> None:
        """Returns when it has ended."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        self._listening.set_running_or_notify_cancel()
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            if self._listening.done():
                log.exception("telemetry.failed")  # nobody answers any more, which is what liveness probes notice
            else:
                self._listening.set_exception(error)

    async def _serve(self) -> None:
        runner = web.AppRunner(self._pages.application(), access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._config.http_host, self._config.http_port).start()
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watchdog.run(), name="watchdog")
                self._listening.set_result(runner.addresses[0][1])
                await self._stopping.wait()
                watching.cancel()
        finally:
            await runner.cleanup()
