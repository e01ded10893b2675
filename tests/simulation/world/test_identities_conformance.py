"""The identity port's own suite, on the simulated identities: what the simulation rests on is held to what the servers are."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest_asyncio

from agentd.platform.aws.iam_names import role_object
from agentd.platform.aws.session import AwsSession
from tests.conformance.identities.test_identities_conformance import *  # noqa: F403 - its tests, as they are
from tests.simulation.world.aws import ACCOUNT, Answer, Operation, Request, about, operations
from tests.simulation.world.checked import CheckedClient
from tests.simulation.world.faults import HEALTHY, IAM
from tests.simulation.world.gate import Gate, Weather
from tests.simulation.world.iam import SAYS, Iam
from tests.simulation.world.truth import Asked, Books

if TYPE_CHECKING:
    from types_aiobotocore_iam import IAMClient


class _Iam(Iam):
    """With what people do beside the agent. Instance profiles and policies are kept as names alone."""

    def people(self) -> dict[str, Operation]:
        return operations(
            {"GetPolicy": lambda _asked, request: {"Policy": {"Arn": request["PolicyArn"]}}},
            {
                "CreatePolicy": _create_policy,
                "PutRolePolicy": self._put_inline,
                "DeleteRolePermissionsBoundary": self._delete_boundary,
                "CreateInstanceProfile": _create_profile,
                "AddRoleToInstanceProfile": self._add_to_profile,
            },
        )

    def _put_inline(self, asked: Asked, request: Request) -> Answer:
        name, policy = request["RoleName"], request["PolicyName"]
        self.change(asked, name, about(role_object(name)), lambda found: replace(found, inline=(*found.inline, policy)))
        return {}

    def _delete_boundary(self, asked: Asked, request: Request) -> Answer:
        name = request["RoleName"]
        self.change(asked, name, about(role_object(name)), lambda found: replace(found, boundary=None))
        return {}

    def _add_to_profile(self, asked: Asked, request: Request) -> Answer:
        name, profile = request["RoleName"], request["InstanceProfileName"]
        self.change(asked, name, about(role_object(name)), lambda found: replace(found, profiles=(profile,)))
        return {}


def _create_policy(_asked: Asked, request: Request) -> Answer:
    return {"Policy": {"Arn": f"arn:aws:iam::{ACCOUNT}:policy/{request['PolicyName']}"}}


def _create_profile(_asked: Asked, request: Request) -> Answer:
    name = request["InstanceProfileName"]
    told = {"Path": "/", "InstanceProfileName": name, "InstanceProfileId": name, "Roles": []}
    return {"InstanceProfile": {**told, "Arn": name, "CreateDate": datetime.now(UTC)}}


class _Session:
    """Of one simulated account."""

    def __init__(self) -> None:
        self._iam = _Iam(Books(), time.time)
        self._gate = Gate(Weather(1, HEALTHY, (0.0, 0.0)), "a", IAM, SAYS)

    async def iam(self, *, retries: bool) -> "IAMClient":
        client = CheckedClient(IAM, {**self._iam.operations(), **self._iam.people()}, self._gate, retries=retries)
        return cast("IAMClient", client)


# In the place of the suite's own.
@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["simulated"])  # type: ignore[no-redef]
async def session() -> AsyncIterator[AwsSession]:
    yield cast("AwsSession", _Session())
