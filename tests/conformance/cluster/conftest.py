"""The servers that the suite runs on: the embedded one, and a real one where there is one (see `real_kubeconfig`)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agentd.embedded.kube import EmbeddedKubernetes
from tests.conformance.cluster.support import Bench, Server, bench, connect
from tests.servers.kube_control_plane import SERVERS


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SERVERS)
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    if request.param == "real":
        async with connect("real", request.getfixturevalue("real_kubeconfig")) as real:
            yield real
        return
    kubeconfig = tmp_path_factory.mktemp("embedded") / "kubeconfig"
    async with EmbeddedKubernetes.start() as embedded, connect("embedded", embedded.kubeconfig(kubeconfig)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def at(server: Server, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(server, tmp_path) as made:
        yield made
