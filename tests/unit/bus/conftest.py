"""The emulated cloud, once a session, and a rig on queues of its own for each test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from agentd.embedded import EmbeddedCloud
from tests.servers import AwsServer, SqsAdmin
from tests.unit.bus.rig import Rig


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cloud(aws_credentials: None) -> AsyncIterator[EmbeddedCloud]:
    """A real SQS server that counts calls and shows faults."""
    async with EmbeddedCloud.start() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def admin(cloud: EmbeddedCloud) -> AsyncIterator[SqsAdmin]:
    """The account's owner."""
    async with SqsAdmin.at(AwsServer("embedded", cloud.endpoint_url)) as owner:
        yield owner


@pytest_asyncio.fixture(loop_scope="session")
async def rig(cloud: EmbeddedCloud, admin: SqsAdmin) -> AsyncIterator[Rig]:
    """Standard queues."""
    async with Rig.on(cloud, admin, fifo=False) as new:
        yield new


@pytest_asyncio.fixture(loop_scope="session")
async def fifo_rig(cloud: EmbeddedCloud, admin: SqsAdmin) -> AsyncIterator[Rig]:
    """FIFO queues."""
    async with Rig.on(cloud, admin, fifo=True) as new:
        yield new
