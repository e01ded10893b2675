"""The registry port's own suite, on the simulated registry: what the simulation rests on is held to what the servers are."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest_asyncio
from botocore.exceptions import ClientError

from agentd.platform.aws.ecr_reads import repository_object
from agentd.platform.aws.session import AwsSession
from tests.conformance.registry.test_registry_conformance import *  # noqa: F403 - its tests, as they are
from tests.simulation.world.aws import Answer, Operation, Request, about
from tests.simulation.world.checked import CheckedClient
from tests.simulation.world.ecr import SAYS, Ecr
from tests.simulation.world.faults import ECR, HEALTHY
from tests.simulation.world.gate import Gate, Weather
from tests.simulation.world.truth import Asked, Books

if TYPE_CHECKING:
    from types_aiobotocore_ecr import ECRClient


class _Ecr(Ecr):
    """With what customers do beside the agent."""

    def delete_lifecycle_policy(self, asked: Asked, request: Request) -> Answer:
        name = request["repositoryName"]
        self.change(asked, name, about(repository_object(name)), lambda found: replace(found, lifecycle=None))
        return {"repositoryName": name}


class _Client(CheckedClient):
    """With the SDK's names of its errors."""

    exceptions = SimpleNamespace(RepositoryPolicyNotFoundException=ClientError)


class _Session:
    """Of one simulated account."""

    def __init__(self) -> None:
        self._ecr = _Ecr(Books(), time.time)
        self._gate = Gate(Weather(1, HEALTHY, (0.0, 0.0)), "a", ECR, SAYS)

    async def ecr(self, *, retries: bool) -> "ECRClient":
        more = {
            "delete_lifecycle_policy": Operation(
                "DeleteLifecyclePolicy", self._ecr.delete_lifecycle_policy, is_write=True
            )
        }
        client = _Client(ECR, {**self._ecr.operations(), **more}, self._gate, retries=retries)
        return cast("ECRClient", client)


# In the place of the suite's own.
@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["simulated"])  # type: ignore[no-redef]
async def session() -> AsyncIterator[AwsSession]:
    yield cast("AwsSession", _Session())
