"""The secret store port, on Secrets Manager."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from agentd.core import PermanentError, Reason, SecretStore, TransientError, system_runtime
from agentd.platform.aws.secrets import AwsSecrets
from agentd.telemetry import Metrics
from tests.conformance.registry.support import aws_session, ministack, moto

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Place:
    """One store, and the hands that put secrets into it."""

    store: SecretStore
    client: Any  # the SDK's client; its types for Secrets Manager are not installed

    async def put(self, **value: Any) -> tuple[str, str]:
        """A new secret's name and ARN."""
        made = await self.client.create_secret(Name=f"agent/keys-{uuid4()}", **value)
        return made["Name"], made["ARN"]


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=[ministack, moto], ids=["ministack", "moto"])
async def at(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """A store on a server."""
    server: Callable[[], AbstractAsyncContextManager[str]] = request.param
    async with server() as endpoint_url, aws_session(endpoint_url) as session:
        client = await session.secrets()
        yield Place(AwsSecrets(client, metrics=Metrics(), runtime=system_runtime()), client)


async def test_a_secret_is_read_by_name_and_by_arn(at: Place) -> None:
    for name in await at.put(SecretString="ключи"):
        assert await at.store.fetch(name, limit_bytes=100) == "ключи".encode()


async def test_a_binary_secret_is_read(at: Place) -> None:
    name, _ = await at.put(SecretBinary=b"\x00\xff")
    assert await at.store.fetch(name, limit_bytes=2) == b"\x00\xff"


async def test_the_newest_value_is_read(at: Place) -> None:
    name, _ = await at.put(SecretString="one")
    await at.client.put_secret_value(SecretId=name, SecretString="two")
    assert await at.store.fetch(name, limit_bytes=100) == b"two"


async def test_what_is_too_large_is_refused_and_not_repeated(at: Place) -> None:
    name, _ = await at.put(SecretString="secret")
    with pytest.raises(PermanentError, match=rf"secretsmanager:secret/{name} has 6 bytes; at most 5") as caught:
        await at.store.fetch(name, limit_bytes=5)
    assert caught.value.reason is Reason.INVALID_REQUEST


async def test_what_is_not_there_is_told_by_name(at: Place) -> None:
    with pytest.raises((PermanentError, TransientError), match=r"secretsmanager:secret/nothing: .*ResourceNotFound"):
        await at.store.fetch("nothing", limit_bytes=5)
