"""The servers that the suite runs on: the embedded one, and, among the slow tests, a real Airflow."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.conformance.airflow.rig import Bench, Server, bench, embedded_server, real_server
from tests.conformance.airflow.sources import write_bundles
from tests.servers.airflow import run_airflow

SERVERS = ("embedded", pytest.param("real", marks=pytest.mark.slow))


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Airflow with both bundles; an error, never a skip, when it is not installed."""
    bundles = write_bundles(tmp_path_factory.mktemp("bundles"))
    with run_airflow(tmp_path_factory.mktemp("airflow"), bundles) as running:
        yield real_server(running, bundles)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SERVERS)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    if request.param == "real":
        yield request.getfixturevalue("real")
        return
    async with embedded_server() as embedded:
        yield embedded


@pytest_asyncio.fixture(loop_scope="module")
async def at(server: Server) -> AsyncIterator[Bench]:
    async with bench(server) as made:
        await made.parsed()
        yield made
