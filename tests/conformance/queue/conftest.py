"""Every behaviour on every server, on a standard and on a FIFO queue."""

from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from agentd.core import Runtime, system_runtime
from tests.conformance.queue.rig import Rig
from tests.conformance.queue.waivers import waiver
from tests.servers import AwsServer, SqsAdmin

_SERVERS = ["ministack", *(pytest.param(name, marks=pytest.mark.slow) for name in ("moto", "fauxqs"))]


@pytest.fixture(scope="session", params=_SERVERS)
def server(request: pytest.FixtureRequest) -> AwsServer:
    """Each server in turn."""
    running: AwsServer = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="session", params=["standard", "fifo"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of queue in turn."""
    return str(request.param)


@pytest.fixture(autouse=True)
def waive(request: pytest.FixtureRequest, server: AwsServer, kind: str) -> None:
    """A behaviour that the server is known to get wrong must fail, and for no other cause than its assertion."""
    behaviour = request.node.originalname
    if reason := waiver(server.name, kind, behaviour):
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def admin(server: AwsServer) -> AsyncIterator[SqsAdmin]:
    """The account's owner on that server."""
    async with SqsAdmin.at(server) as owner:
        yield owner


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """The machine's clock and dice."""
    return system_runtime()


@pytest_asyncio.fixture(loop_scope="session")
async def rig(server: AwsServer, kind: str, admin: SqsAdmin, runtime: Runtime) -> AsyncIterator[Rig]:
    """A new queue, open, and what is needed to use it."""
    async with Rig(server, admin, runtime, fifo=kind == "fifo", numbers=count(1)) as new:
        yield new
