"""The HTTP pages: /metrics, /livez, /readyz, /status.

Text for people and probes, JSON where the request's Accept header names it. Reading only: nothing here changes anything.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import hdrs, web
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

from agentd.core import Runtime
from agentd.telemetry.config import TelemetryConfig
from agentd.telemetry.health import Health
from agentd.telemetry.logs import get_logger
from agentd.telemetry.metrics import Metrics

Status = Callable[[], Awaitable[Mapping[str, object]]]

log = get_logger("telemetry")

# Probes and scrapes are short; a page that is read more slowly than this is cut off when the server stops.
_SHUTDOWN_S = 2.0
_INDEX = """agentd
/metrics             Prometheus and OpenMetrics
/livez               does every loop iterate
/readyz              is every component ready
/readyz/<component>  is one
/status              what is held, running and waiting (JSON)
"""


class TelemetryServer:
    """One process's HTTP pages. `status` gives the JSON of /status. One server for one `Metrics` at a time."""

    def __init__(
        self, config: TelemetryConfig, metrics: Metrics, health: Health, status: Status, runtime: Runtime
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._health = health
        self._status = status
        self._runtime = runtime
        self._runner: web.AppRunner | None = None
        self._collectors: tuple[Collector, ...] = ()
        self._port = config.http_port

    @property
    def port(self) -> int:
        """The port listened on; known once `start` has returned."""
        return self._port

    async def start(self) -> None:
        """Listen. OSError when the address is taken or not this machine's."""
        app = web.Application(middlewares=[_explain_failures], client_max_size=1024)
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/metrics", self._scrape),
                web.get("/livez", self._live),
                web.get("/readyz", self._ready),
                web.get("/readyz/{component}", self._component_ready),
                web.get("/status", self._show_status),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._config.http_host, self._config.http_port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]
        self._register_process_metrics()

    async def stop(self) -> None:
        """Stop listening; open requests get two seconds."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        for collector in self._collectors:
            self._metrics.registry.unregister(collector)
        self._collectors = ()
        await runner.cleanup()

    def _register_process_metrics(self) -> None:
        registry = self._metrics.registry
        self._collectors = (
            ProcessCollector(registry=registry),
            PlatformCollector(registry=registry),
            GCCollector(registry=registry),
        )

    async def _index(self, _request: web.Request) -> web.Response:
        return web.Response(text=_INDEX)

    async def _scrape(self, request: web.Request) -> web.Response:
        self._set_ages()
        encode, content_type = choose_encoder(", ".join(request.headers.getall(hdrs.ACCEPT, ())))
        response = web.Response(body=encode(self._metrics.registry), headers={hdrs.CONTENT_TYPE: content_type})
        if gzip_accepted(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
            response.enable_compression(web.ContentCoding.gzip)
        return response

    def _set_ages(self) -> None:
        """Ages grow by themselves, so they are taken at the scrape; a loop that has ended leaves no series behind."""
        self._metrics.progress_age.clear()
        self._metrics.success_age.clear()
        for pulse in self._health.pulses():
            self._metrics.progress_age.labels(pulse.loop).set(pulse.progress_age_s)
            self._metrics.success_age.labels(pulse.loop).set(pulse.success_age_s)

    async def _live(self, request: web.Request) -> web.Response:
        ailments = self._health.ailments()
        return _answer(
            request,
            good=not ailments,
            lines=ailments or ("live",),
            document={"live": not ailments, "ailments": list(ailments)},
        )

    async def _ready(self, request: web.Request) -> web.Response:
        components = self._health.unready()
        good = not any(components.values())
        return _answer(
            request,
            good=good,
            lines=tuple(_line(component, why) for component, why in components.items()) or ("ready",),
            document={"ready": good, "components": components},
        )

    async def _component_ready(self, request: web.Request) -> web.Response:
        component = request.match_info["component"]
        components = self._health.unready()
        if component not in components:
            raise web.HTTPNotFound(text=f"no such component; there are: {', '.join(sorted(components)) or 'none'}\n")
        why = components[component]
        return _answer(
            request,
            good=not why,
            lines=(_line(component, why),),
            document={"ready": not why, "components": {component: why}},
        )

    async def _show_status(self, _request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(self._config.status_timeout_s):
                document = await self._status()
        except TimeoutError:
            raise web.HTTPGatewayTimeout(
                text=f"the status took longer than {self._config.status_timeout_s:g} s\n"
            ) from None
        return _json(document, status=200)


@web.middleware
async def _explain_failures(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A page that fails says by what, and the log has the rest."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception as error:
        log.exception("http.page_failed", path=request.path)
        return web.Response(status=500, text=f"this page failed with {type(error).__name__}; the log says more\n")


def _answer(
    request: web.Request, *, good: bool, lines: tuple[str, ...], document: Mapping[str, object]
) -> web.Response:
    status = 200 if good else 503
    if "application/json" in request.headers.get(hdrs.ACCEPT, ""):
        return _json(document, status=status)
    return web.Response(status=status, text="".join(f"{line}\n" for line in lines))


def _json(document: Mapping[str, object], *, status: int) -> web.Response:
    text = json.dumps(document, indent=1, default=str)
    return web.Response(status=status, text=text + "\n", content_type="application/json")


def _line(component: str, why: str | None) -> str:
    return f"{component}: not ready: {why}" if why else f"{component}: ready"
