"""An emulated cloud, and places with an API server: the embedded one, and a real one where there is one."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agentd.embedded import EmbeddedKubernetes
from tests.conformance.cluster.support import connect
from tests.conformance.rights.holders import EmbeddedPlace, Place, RealPlace
from tests.servers.kube_control_plane import SERVERS
from tests.unit.handlers.conftest import cloud, running, session

__all__ = ["cloud", "place", "running", "session"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SERVERS)
async def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    if request.param == "real":
        async with connect("real", request.getfixturevalue("real_kubeconfig")) as real:
            yield RealPlace(real)
        return
    kubeconfig = tmp_path_factory.mktemp("embedded") / "kubeconfig"
    async with EmbeddedKubernetes.start() as embedded, connect("embedded", embedded.kubeconfig(kubeconfig)) as made:
        yield EmbeddedPlace(made, embedded)
