"""The HTTP pages, over real sockets, served by a thread of their own."""

import asyncio
import gzip
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agentd.core import Runtime, system_runtime
from agentd.telemetry import Health, Metrics, TelemetryConfig
from agentd.telemetry.http import TelemetryServer
from tests.unit.telemetry.clock import Clock


@dataclass
class _Daemon:
    """What the pages show. `failing` is what its status fails with."""

    runtime: Runtime = field(default_factory=system_runtime)
    metrics: Metrics = field(default_factory=Metrics)
    status: Mapping[str, object] = field(default_factory=lambda: {"version": "1"})
    failing: Exception | None = None

    def __post_init__(self) -> None:
        self.health = Health(self.runtime)

    async def show(self) -> Mapping[str, object]:
        if self.failing is not None:
            raise self.failing
        return self.status


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@asynccontextmanager
async def _serving(daemon: _Daemon, **settings: object) -> AsyncIterator[TelemetryServer]:
    config = TelemetryConfig.model_validate({"http_port": 0, "lag_interval_s": 0.01, **settings})
    server = TelemetryServer(config, daemon.metrics, daemon.health, status=daemon.show)
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


async def _once(server: TelemetryServer, path: str, holds: Callable[[_Answer], bool], **headers: str) -> _Answer:
    """The first answer for which it holds."""
    async with asyncio.timeout(5):
        while not holds(answer := await _get(server, path, **headers)):
            pass
    return answer


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
    clock = Clock()
    daemon = _Daemon(runtime=clock.runtime())
    pulse = daemon.health.pulse("receivers")
    ended = daemon.health.pulse("old")
    daemon.health.oldest_work("running", lambda: 70.0)
    async with _serving(daemon) as server:
        clock.seconds = 3
        pulse.beat()
        clock.seconds = 5
        first = await _once(server, "/metrics", lambda answer: _age(answer, "progress", "receivers") >= 2)
        daemon.health.stopped(ended)
        second = await _once(server, "/metrics", lambda answer: 'loop="old"' not in answer.text)
    assert 2 <= _age(first, "progress", "receivers") < 3
    assert 5 <= _age(first, "success", "receivers") < 6
    assert 5 <= _age(first, "progress", "old") < 6
    assert 5 <= _age(second, "success", "receivers") < 6
    assert 'agentd_oldest_work_age_seconds{state="running"} 70.' in first.text


def _age(answer: _Answer, kind: str, loop: str) -> float:
    families = {family.name: family for family in parse_text(answer.text)}
    found = [sample.value for sample in families[f"agentd_{kind}_age_seconds"].samples if sample.labels["loop"] == loop]
    return max(found, default=-1.0)


async def test_liveness_names_the_late_loop_and_the_broken_invariant() -> None:
    clock = Clock()
    daemon = _Daemon(runtime=clock.runtime())
    daemon.health.pulse("outbox", late_after_s=10).beat("sending 3 reports", within_s=15)
    wrong: list[str] = []
    daemon.health.invariant("books", lambda: wrong[0] if wrong else None)
    async with _serving(daemon) as server:
        well = await _get(server, "/livez")
        clock.seconds = 26
        late = await _once(server, "/livez", lambda answer: answer.status != 200)
        wrong.append("3 rows and 2 tasks")
        both = await _once(server, "/livez", lambda answer: "books" in answer.text, Accept="application/json")
        wrong.clear()
        clock.seconds = 0
        mended = await _once(server, "/livez", lambda answer: answer.status == 200)
    assert (well.status, well.text) == (200, "live\n")
    assert late.status == 503
    assert late.text == "loop outbox has not iterated for 26.0 s (allowed: 25 s), since it began sending 3 reports\n"
    assert both.status == 503
    assert both.headers["Content-Type"].startswith("application/json")
    assert '"books: 3 rows and 2 tasks"' in both.text
    assert mended.text == "live\n"


async def test_a_check_that_fails_is_no_health() -> None:
    daemon = _Daemon()

    def broken() -> str | None:
        raise KeyError("row")

    daemon.health.invariant("books", broken)
    async with _serving(daemon) as server:
        answer = await _once(server, "/livez", lambda answer: answer.status != 200)
        other = await _get(server, "/readyz")
    assert (answer.status, answer.text) == (503, "books: the check itself failed with KeyError; the log says more\n")
    assert other.status == 200


async def test_a_look_that_fails_is_no_health() -> None:
    daemon = _Daemon()
    broken = True

    def age() -> float | None:
        if broken:
            raise KeyError("row")
        return None

    daemon.health.oldest_work("held", age)
    async with _serving(daemon) as server:
        answer = await _once(server, "/livez", lambda answer: answer.status != 200)
        broken = False
        mended = await _once(server, "/livez", lambda answer: answer.status == 200)
    assert (answer.status, answer.text) == (503, "looking at health failed with KeyError\n")
    assert mended.text == "live\n"


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
        daemon.failing = RuntimeError("secret detail")
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
    assert (answer.status, answer.text) == (504, "the answer took longer than 0.05 s\n")


async def test_a_blocked_loop_is_told_by_its_thread() -> None:
    daemon = _Daemon()
    released = threading.Event()
    async with _serving(daemon, status_timeout_s=0.05, lag_late_after_s=0.1) as server:
        asking = asyncio.create_task(asyncio.to_thread(_ask_while_blocked, server.port, released), name="asking")
        await asyncio.sleep(0)  # lets the task begin
        released.wait(10)  # blocks the event loop: nothing but the other threads goes on
        answers = await asking
        mended = await _once(server, "/livez", lambda answer: answer.status == 200)
    assert answers["/livez"][0] == 503
    assert "the event loop has not answered for" in answers["/livez"][1]
    assert "test_http.py" in answers["/livez"][1]
    assert "test_a_blocked_loop_is_told_by_its_thread" in answers["/livez"][1]
    assert answers["/metrics"][0] == 200
    told = {path: answers[path] for path in ("/status", "/readyz", "/readyz/queue")}
    assert set(told.values()) == {(503, "the event loop does not answer within 0.05 s; /livez says why\n")}
    assert mended.text == "live\n"


def _ask_while_blocked(port: int, released: threading.Event) -> Mapping[str, tuple[int, str]]:
    """In a thread: the pages, once liveness fails."""
    try:
        while (live := _get_blocking(port, "/livez"))[0] == 200:
            pass
        pages = ("/metrics", "/status", "/readyz", "/readyz/queue")
        return {"/livez": live, **{path: _get_blocking(port, path) for path in pages}}
    finally:
        released.set()


def _get_blocking(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


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
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.1", server.port)) == 0
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.2", server.port)) != 0


async def test_a_taken_port_is_an_error_and_stop_frees_it() -> None:
    daemon = _Daemon()
    async with _serving(daemon) as first:
        config = TelemetryConfig(http_port=first.port)
        second = TelemetryServer(config, Metrics(), daemon.health, status=daemon.show)
        with pytest.raises(OSError, match="address"):
            await second.start()
        await second.stop()
        port = first.port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    async with _serving(daemon, http_port=port) as again:
        assert (await _get(again, "/metrics")).status == 200
