"""The two ways to an environment's Airflow."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import ClientSession, DummyCookieJar, web
from yarl import URL

from agentd.core import NotReady, PermanentError, TransientError
from agentd.platform.airflow import AirflowAddress
from agentd.platform.airflow_rest import DirectRoute
from agentd.platform.kubernetes import Connection
from agentd.platform.kubernetes.access import KubeconfigAccess
from agentd.platform.kubernetes.services import ServiceProxyRoute
from tests.conformance.cluster.support import write_kubeconfig
from tests.conformance.registry.support import RecordingFence, new_subject
from tests.unit.platform.airflow.rig import ADDRESS, SECRET, adapter, rig
from tests.virtual_time import virtual_runtime

_PROXY = "/api/v1/namespaces/test/services/airflow:8080/proxy"


@dataclass
class ApiServer:
    """What a Kubernetes API server does with requests for a Service: it keeps the Authorization header for itself."""

    airflow: str
    tokens: set[str]
    url: str = ""
    paths: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    session: ClientSession | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _status(401, "Unauthorized", "Unauthorized")
        path = request.rel_url.raw_path
        if not path.startswith(_PROXY):
            self.elsewhere.append(path)
            return _status(404, "NotFound", 'services "airflow" not found')
        self.paths.append(path)
        assert self.session is not None
        kept = {name: value for name, value in request.headers.items() if name not in ("Authorization", "Host")}
        url = URL(self.airflow + request.raw_path.removeprefix(_PROXY), encoded=True)
        async with self.session.request(
            request.method, url, headers=kept, data=await request.read(), allow_redirects=False
        ) as answer:
            passed = {
                name: answer.headers[name]
                for name in ("Content-Type", "Location", "Set-Cookie")
                if name in answer.headers
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=passed)


def _status(code: int, reason: str, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "reason": reason, "message": message}, status=code)


@asynccontextmanager
async def api_server(airflow: str) -> AsyncIterator[ApiServer]:
    """One on loopback that knows the Service of one environment."""
    server = ApiServer(airflow, {"first"})
    async with serving(server.serve) as server.url, ClientSession(cookie_jar=DummyCookieJar()) as server.session:
        yield server


@asynccontextmanager
async def serving(serve: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Any server on loopback; yields its URL."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_api_servers_proxy_leads_to_airflow_with_a_token_of_each(tmp_path: Path) -> None:
    async with rig() as at, api_server(at.server.url) as server:
        path = write_kubeconfig(tmp_path / "kubeconfig", server.url, {"token": "first"})
        runtime = virtual_runtime()
        async with Connection(KubeconfigAccess(path, None, runtime), runtime) as connection:
            airflows = adapter(ServiceProxyRoute(connection))
            airflow = airflows.of(ADDRESS)
            assert [dag.dag_id for dag in await airflow.dags()] == ["a", "b"]
            await airflow.set_paused(["b"], False, fence=at.fence)
            run = await airflow.trigger("b", "a+b:~", conf={"x": 1}, fence=at.fence)
            assert await airflow.dag_run("b", "a+b:~") is not None
            assert (run.triggering_user_name, run.conf) == ("conveyor-agent", {"x": 1})
            assert all(path.startswith(f"{_PROXY}/environments/test/airflow/api/v2/") for path in server.paths)
            with pytest.raises(NotReady, match='kubernetes: NotFound: services "airflow" not found'):
                await airflows.of(AirflowAddress("elsewhere", "", SECRET)).version()


async def test_credentials_of_the_cluster_are_renewed_when_they_are_refused(tmp_path: Path) -> None:
    async with rig() as at, api_server(at.server.url) as server:
        path = write_kubeconfig(tmp_path / "kubeconfig", server.url, {"token": "first"})
        runtime = virtual_runtime()
        async with Connection(KubeconfigAccess(path, None, runtime), runtime) as connection:
            airflow = adapter(ServiceProxyRoute(connection)).of(ADDRESS)
            assert await airflow.version() == "3.3.2"
            server.tokens = {"second"}
            with pytest.raises(TransientError, match="kubernetes: Unauthorized"):
                await airflow.version()
            write_kubeconfig(path, server.url, {"token": "second"})
            await runtime.sleep(11)
            assert await airflow.version() == "3.3.2"


async def test_a_workload_that_answers_by_way_of_the_api_server_leads_nowhere_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    cookies: list[str] = []
    elsewhere = ""

    async def serve(request: web.Request) -> web.StreamResponse:
        cookies.append(request.headers["Cookie"])
        headers = {"Location": elsewhere, "Set-Cookie": "_token=planted; Path=/"}
        return web.Response(status=307, headers=headers)

    async with serving(serve) as workload, api_server(workload) as server:
        url = server.url.replace("127.0.0.1", "localhost")  # cookies of addresses are kept by nobody
        elsewhere = f"{url}/api/v1/namespaces/kube-system/secrets"
        path = write_kubeconfig(tmp_path / "kubeconfig", url, {"token": "first"})
        runtime = virtual_runtime()
        async with Connection(KubeconfigAccess(path, None, runtime), runtime) as connection:
            airflow = adapter(ServiceProxyRoute(connection)).of(ADDRESS)
            fence = RecordingFence(new_subject("environment"), "owner")
            with pytest.raises(TransientError, match="307"):
                await airflow.version()
            with pytest.raises(TransientError, match="307"):
                await airflow.clear("a", "x", fence=fence)
    assert server.elsewhere == []
    assert len(cookies) > 2
    assert not any("planted" in cookie for cookie in cookies)


async def test_a_url_has_the_namespace_in_its_place_and_redirects_are_not_followed() -> None:
    seen: list[tuple[str, str]] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        seen.append((request.host, request.raw_path))
        raise web.HTTPFound("http://127.0.0.1:1/elsewhere")

    async with serving(serve) as url:
        # The namespace stands in a host's place, as in the cluster: 127.0.0.1 is all loopback's own.
        port = url.rpartition(":")[2]
        async with DirectRoute(f"http://{{namespace}}.0.0.1:{port}") as route:
            with pytest.raises(TransientError, match="302"):
                await adapter(route).of(AirflowAddress("127", "/p", SECRET)).version()
    assert set(seen) == {(f"127.0.0.1:{port}", "/p/api/v2/version")}


async def test_a_route_that_is_not_open_says_so() -> None:
    with pytest.raises(PermanentError, match="not open"):
        await adapter(DirectRoute("http://127.0.0.1:1")).of(ADDRESS).version()
