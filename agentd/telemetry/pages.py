"""What the HTTP pages say: /metrics, /livez, /readyz, /status.

Text for people and probes, JSON where the request's Accept header names it. Reading only: nothing here changes anything.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder, gzip_accepted

from agentd.telemetry.config import TelemetryConfig
from agentd.telemetry.health import Health
from agentd.telemetry.logs import get_logger
from agentd.telemetry.metrics import Metrics
from agentd.telemetry.watchdog import Watchdog

T = TypeVar("T")
Status = Callable[[], Awaitable[Mapping[str, object]]]
Components = Mapping[str, str | None]

log = get_logger("telemetry")

_INDEX = """agentd
/metrics             Prometheus and OpenMetrics
/livez               does every loop iterate
/readyz              is every component ready
/readyz/<component>  is one
/status              what is held, running and waiting (JSON)
"""


class Pages:
    """The pages. They run on a loop of their own; `health` and `status` belong to the watched one, and are asked there."""

    def __init__(
        self,
        config: TelemetryConfig,
        metrics: Metrics,
        health: Health,
        status: Status,
        *,
        watchdog: Watchdog,
        watched: asyncio.AbstractEventLoop,
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._health = health
        self._status = status
        self._watchdog = watchdog
        self._watched = watched

    def application(self) -> web.Application:
        """All of them."""
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
        return app

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
        metrics, found, since_s = self._metrics, self._health.checkup, self._watchdog.checkup_age_s
        metrics.progress_age.clear()
        metrics.success_age.clear()
        for loop in found.loops:
            metrics.progress_age.labels(loop.loop).set(loop.progress_s + since_s)
            metrics.success_age.labels(loop.loop).set(loop.success_s + since_s)
        for state, age_s in found.work.items():
            metrics.oldest_work_age.labels(state).set(age_s + since_s if age_s else 0.0)

    async def _live(self, request: web.Request) -> web.Response:
        ailments = self._watchdog.ailments()
        return _answer(
            request,
            good=not ailments,
            lines=ailments or ("live",),
            document={"live": not ailments, "ailments": list(ailments)},
        )

    async def _ready(self, request: web.Request) -> web.Response:
        components = await self._components()
        good = not any(components.values())
        return _answer(
            request,
            good=good,
            lines=tuple(_line(component, why) for component, why in components.items()) or ("ready",),
            document={"ready": good, "components": components},
        )

    async def _component_ready(self, request: web.Request) -> web.Response:
        component = request.match_info["component"]
        components = await self._components()
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
        return _json(await self._ask(self._status), status=200)

    async def _components(self) -> Components:
        async def unready() -> Components:
            return self._health.unready()

        return await self._ask(unready)

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The watched loop's answer. 503 when the loop does not take the question up in time, 504 when that takes longer."""
        taken_up = False

        async def answer() -> T:
            nonlocal taken_up
            taken_up = True
            return await question()

        limit_s = self._config.status_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer(), self._watched))
        except TimeoutError:
            if taken_up:
                raise web.HTTPGatewayTimeout(text=f"the answer took longer than {limit_s:g} s\n") from None
            raise web.HTTPServiceUnavailable(
                text=f"the event loop does not answer within {limit_s:g} s; /livez says why\n"
            ) from None


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
