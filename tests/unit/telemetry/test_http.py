"""The HTTP pages, over real sockets."""

import asyncio
import gzip
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agentd.core import Runtime, system_runtime
from agentd.telemetry import Health, Metrics, TelemetryConfig
from agentd.telemetry.http import TelemetryServer


@dataclass
class _Daemon:
    """What the pages show."""

    runtime: Runtime = field(default_factory=system_runtime)
    metrics: Metrics = field(default_factory=Metrics)
    status: Mapping[str, object] = field(default_factory=lambda: {"version": "1"})

    def __post_init__(self) -> None:
        self.health = Health(self.runtime)

    async def show(self) -> Mapping[str, object]:
        return self.status


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class _Clock:
    """A monotonic clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0


class _ClockedRuntime(Runtime):
    __slots__ = ("clock",)

    def __init__(self, clock: _Clock) -> None:
        runtime = system_runtime()
        super().__init__(wall=runtime.wall, random=runtime.random)
        object.__setattr__(self, "clock", clock)

    def monotonic(self) -> float:
        clock: _Clock = self.clock  # type: ignore[attr-defined]  # a slot that the base class does not know
        return clock.seconds


@asynccontextmanager
async def _serving(daemon: _Daemon, **settings: object) -> AsyncIterator[TelemetryServer]:
    config = TelemetryConfig.model_validate({"http_port": 0, **settings})
    server = TelemetryServer(config, daemon.metrics, daemon.health, status=daemon.show, runtime=daemon.runtime)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def _get(server: TelemetryServer, path: str, **headers: str) -> _Answer:
    url = f"http://127.0.0.1:{server.port}{path}"
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        aiohttp.ClientSession(timeout=timeout, auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as client,
        client.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()}) as answer,
    ):
        return _Answer(answer.status, dict(answer.headers), await answer.read())


async def test_metrics_in_the_prometheus_format() -> None:
    daemon = _Daemon()
    daemon.metrics.events_received.labels("commands").inc(3)
    async with _serving(daemon) as server:
        answer = await _get(server, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'agentd_events_received_total{queue="commands"} 3.0' in answer.text
    names = {family.name for family in parse_text(answer.text)}
    assert {"process_cpu_seconds", "process_open_fds", "python_info", "python_gc_objects_collected"} <= names


async def test_metrics_in_the_openmetrics_format() -> None:
    daemon = _Daemon()
    daemon.metrics.event_duration.labels("t", "succeeded").observe(0.2)
    async with _serving(daemon) as server:
        answer = await _get(server, "/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parse_openmetrics(answer.text)}  # type: ignore[no-untyped-call]
    assert families["agentd_event_duration_seconds"].type == "histogram"
    assert answer.text.endswith("# EOF\n")


async def test_metrics_are_compressed_when_asked() -> None:
    async with _serving(_Daemon()) as server:
        plain = await _get(server, "/metrics")
        packed = await _get(server, "/metrics", Accept_Encoding="deflate, gzip")
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Content-Type"] == plain.headers["Content-Type"]
    assert len(packed.body) < len(plain.body) / 2
    assert b"agentd_acks_total" in gzip.decompress(packed.body)


async def test_every_family_has_help_and_a_proper_name() -> None:
    daemon = _Daemon()
    async with _serving(daemon) as server:
        answer = await _get(server, "/metrics")
    families = list(parse_text(answer.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    for family in families:
        assert family.documentation, family.name
        assert not family.name.endswith(("_count", "_sum", "_bucket", "_ms", "_milliseconds")), family.name


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on this machine")
async def test_promtool_finds_nothing() -> None:
    daemon = _Daemon()
    daemon.metrics.event_duration.labels("t", "succeeded").observe(0.2)
    async with _serving(daemon) as server:
        answer = await _get(server, "/metrics")
    checker = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    told = await checker.communicate(answer.body)
    assert (checker.returncode, told) == (0, (b"", b""))


async def test_ages_are_taken_at_the_scrape() -> None:
    clock = _Clock()
    daemon = _Daemon(runtime=_ClockedRuntime(clock))
    pulse = daemon.health.pulse("receivers", late_after_s=60)
    ended = daemon.health.pulse("old", late_after_s=60)
    async with _serving(daemon) as server:
        clock.seconds = 3
        pulse.beat()
        clock.seconds = 5
        first = await _get(server, "/metrics")
        daemon.health.stopped(ended)
        second = await _get(server, "/metrics")
    assert 'agentd_progress_age_seconds{loop="receivers"} 2.0' in first.text
    assert 'agentd_success_age_seconds{loop="receivers"} 5.0' in first.text
    assert 'loop="old"' in first.text
    assert 'loop="old"' not in second.text


async def test_liveness_names_the_late_loop_and_the_broken_invariant() -> None:
    clock = _Clock()
    daemon = _Daemon(runtime=_ClockedRuntime(clock))
    daemon.health.pulse("outbox", late_after_s=10)
    wrong: list[str] = []
    daemon.health.invariant("books", lambda: wrong[0] if wrong else None)
    async with _serving(daemon) as server:
        well = await _get(server, "/livez")
        clock.seconds = 11
        late = await _get(server, "/livez")
        wrong.append("3 rows and 2 tasks")
        both = await _get(server, "/livez", Accept="application/json")
    assert (well.status, well.text) == (200, "live\n")
    assert late.status == 503
    assert late.text == "loop outbox has not iterated for 11.0 s (allowed: 10 s)\n"
    assert both.status == 503
    assert both.headers["Content-Type"].startswith("application/json")
    assert '"books: 3 rows and 2 tasks"' in both.text


async def test_a_check_that_fails_is_no_health() -> None:
    daemon = _Daemon()

    def broken() -> str | None:
        raise KeyError("row")

    daemon.health.invariant("books", broken)
    async with _serving(daemon) as server:
        answer = await _get(server, "/livez")
        other = await _get(server, "/readyz")
    assert answer.status == 500
    assert "KeyError" in answer.text
    assert other.status == 200


async def test_readiness_is_per_component() -> None:
    daemon = _Daemon()
    daemon.health.readiness("queue", lambda: "no answer since 5 s")
    daemon.health.readiness("proxy", lambda: None)
    async with _serving(daemon) as server:
        everything = await _get(server, "/readyz")
        queue = await _get(server, "/readyz/queue")
        proxy = await _get(server, "/readyz/proxy", Accept="application/json")
        unknown = await _get(server, "/readyz/prxy")
    assert everything.status == 503
    assert everything.text == "queue: not ready: no answer since 5 s\nproxy: ready\n"
    assert (queue.status, queue.text) == (503, "queue: not ready: no answer since 5 s\n")
    assert proxy.status == 200
    assert '"proxy": null' in proxy.text
    assert unknown.status == 404
    assert "proxy, queue" in unknown.text


async def test_status_is_json_and_its_failure_is_its_own() -> None:
    daemon = _Daemon(status={"version": "1", "work": [{"step": "create"}]})
    async with _serving(daemon) as server:
        good = await _get(server, "/status")

        async def failing() -> Mapping[str, object]:
            raise RuntimeError("secret detail")

        server._status = failing
        bad = await _get(server, "/status")
        still = await _get(server, "/livez")
    assert good.headers["Content-Type"].startswith("application/json")
    assert '"step": "create"' in good.text
    assert bad.status == 500
    assert "RuntimeError" in bad.text
    assert "secret detail" not in bad.text
    assert still.status == 200


async def test_a_status_that_hangs_is_cut() -> None:
    class _Hanging(_Daemon):
        async def show(self) -> Mapping[str, object]:
            await asyncio.Event().wait()
            return {}

    async with _serving(_Hanging(), status_timeout_s=0.05) as server:
        answer = await _get(server, "/status")
    assert answer.status == 504


async def test_other_paths_and_methods() -> None:
    async with _serving(_Daemon()) as server:
        index = await _get(server, "/")
        missing = await _get(server, "/secrets")
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"http://127.0.0.1:{server.port}/status", data=b"x") as answer,
        ):
            posted = answer.status
    assert "/metrics" in index.text
    assert missing.status == 404
    assert posted == 405


async def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    async with _serving(_Daemon()) as server:
        assert server._runner is not None
        assert server._runner.addresses[0][0] == "127.0.0.1"


async def test_a_taken_port_is_an_error_and_stop_frees_it() -> None:
    daemon = _Daemon()
    async with _serving(daemon) as first:
        config = TelemetryConfig(http_port=first.port)
        second = TelemetryServer(config, Metrics(), daemon.health, status=daemon.show, runtime=daemon.runtime)
        with pytest.raises(OSError, match="address"):
            await second.start()
        await second.stop()
        port = first.port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    async with _serving(daemon, http_port=port) as again:
        assert (await _get(again, "/metrics")).status == 200
