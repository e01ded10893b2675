"""What the identities' tests share: an adapter of one's own on a server, and a customer's hands."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from types_aiobotocore_iam import IAMClient
from types_aiobotocore_iam.type_defs import RoleTypeDef

from agentd.core import Subject, system_runtime
from agentd.platform import IdentitySpec
from agentd.platform.aws.iam import IamIdentities
from agentd.platform.aws.session import AwsSession
from agentd.platform.config import IdentitiesConfig
from agentd.telemetry import Metrics
from tests.conformance.registry.support import RecordingFence, new_subject

ISSUER = "oidc.example.com/id/1234"
PROVIDER_ARN = f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"
SPEC = IdentitySpec("dev", (("dev", "airflow"), ("dev", "etl-*")), description="Environment dev")

_ALLOW_NOTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}


@dataclass
class Hands:
    """What people do in an account beside the agent."""

    iam: IAMClient
    prefix: str

    async def policy(self, name: str) -> str:
        """Make a managed policy; its ARN."""
        answer = await self.iam.create_policy(
            PolicyName=f"{self.prefix}{name}", PolicyDocument=json.dumps(_ALLOW_NOTHING)
        )
        return answer["Policy"]["Arn"]

    async def create(self, role: str, tags: Mapping[str, str]) -> None:
        """Make a role that anybody may have made."""
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ],
        }
        await self.iam.create_role(
            RoleName=role,
            AssumeRolePolicyDocument=json.dumps(trust),
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )

    async def role(self, role: str) -> RoleTypeDef:
        """A role as IAM has it."""
        return (await self.iam.get_role(RoleName=role))["Role"]

    async def trust(self, role: str) -> dict[str, Any]:
        """Who may become a role: a document of IAM's own shape."""
        document = (await self.role(role))["AssumeRolePolicyDocument"]
        assert isinstance(document, dict)
        return dict(document)

    async def attached(self, role: str) -> set[str]:
        """ARNs of the policies that are attached to a role."""
        found = await self.iam.list_attached_role_policies(RoleName=role)
        return {policy["PolicyArn"] for policy in found["AttachedPolicies"]}

    async def set_trust(self, role: str, document: object) -> None:
        """Let others become a role."""
        await self.iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))

    async def put_inline(self, role: str, policy: str) -> None:
        """Make a policy that is part of a role."""
        await self.iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(_ALLOW_NOTHING))

    async def put_in_profile(self, role: str) -> str:
        """Put a role into an instance profile; the profile's name."""
        profile = f"{role}-profile"
        await self.iam.create_instance_profile(InstanceProfileName=profile)
        await self.iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
        return profile


@dataclass
class Bench:
    """One adapter on one server, with a path, a prefix and an owner of its own."""

    identities: IamIdentities
    config: IdentitiesConfig
    owner_id: str
    metrics: Metrics
    hands: Hands

    def role(self, name: str = "dev") -> str:
        """The role behind an identity."""
        return f"{self.config.role_prefix}{name}"

    def fence(self, subject: Subject | None = None, generation: int = 1) -> RecordingFence:
        return RecordingFence(subject or new_subject("environment"), self.owner_id, generation)


@asynccontextmanager
async def bench(session: AwsSession, owner_id: str | None = None, **settings: object) -> AsyncIterator[Bench]:
    """An adapter whose names nobody else uses."""
    unique = uuid4().hex[:12]
    config = IdentitiesConfig.model_validate(
        {
            "provider": "aws",
            "path": f"/test-{unique}/",
            "role_prefix": f"test-{unique}-",
            "oidc_issuer_url": f"https://{ISSUER}",
            "oidc_provider_arn": PROVIDER_ARN,
            **settings,
        }
    )
    owner = owner_id or f"owner-{uuid4()}"
    metrics = Metrics()
    writes = await session.iam(retries=False)
    identities = IamIdentities(
        reads=await session.iam(retries=True),
        writes=writes,
        config=config,
        owner_id=owner,
        metrics=metrics,
        runtime=system_runtime(),
    )
    yield Bench(identities, config, owner, metrics, Hands(writes, config.role_prefix))
