"""The servers that handlers run on: an emulated cloud, and the embedded API server or a real one (see `real_kubeconfig`)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agentd.embedded import EmbeddedCloud, EmbeddedKubernetes
from agentd.platform.aws.session import AwsSession
from tests.conformance.cluster.support import Server, connect
from tests.conformance.registry.support import aws_session
from tests.servers.kube_control_plane import SERVERS
from tests.unit.handlers.world import World, world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[EmbeddedCloud]:
    async with EmbeddedCloud.start() as cloud:
        yield cloud


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(running: EmbeddedCloud) -> AsyncIterator[AwsSession]:
    async with aws_session(running.endpoint_url) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def cloud(running: EmbeddedCloud) -> EmbeddedCloud:
    await running.clear()
    await running.reset_calls()
    return running


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
async def at(server: Server, session: AwsSession, cloud: EmbeddedCloud, tmp_path: Path) -> AsyncIterator[World]:
    async with world(server, session, cloud, tmp_path) as made:
        yield made
