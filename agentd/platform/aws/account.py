"""What the agent is in its AWS account, and what it may do there. Every call is a read."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self, TypedDict

from botocore.exceptions import ClientError

from agentd.core import Runtime
from agentd.platform.aws.calls import AwsCalls
from agentd.platform.aws.errors import CAUGHT, classify, to_error
from agentd.platform.aws.session import AwsSession
from agentd.telemetry import Metrics

if TYPE_CHECKING:
    from types_aiobotocore_iam import IAMClient
    from types_aiobotocore_iam.type_defs import EvaluationResultTypeDef
    from types_aiobotocore_sts import STSClient

Answer = Mapping[str, Any]  # AWS' own shapes: every part may be missing

NO_ENTITY = ("NoSuchEntity",)
_NO_BUCKET = ("404", "NoSuchBucket")
_NO_REGIONS = (
    "aws-global",
    "aws-cn-global",
    "aws-us-gov-global",
)  # of the SDK: where a service has one endpoint for all
_TIMEOUT_S = 10.0
_HALF_A_SECOND = 0.5  # a Date header is cut to whole seconds


class _More(TypedDict, total=False):
    """Where a listing goes on."""

    Marker: str


@dataclass(frozen=True, slots=True)
class Caller:
    """As whom AWS knows the agent."""

    arn: str
    account: str

    @property
    def partition(self) -> str:
        """`aws`, or the one of China or of the US government."""
        return self.arn.split(":")[1]

    @property
    def is_root(self) -> bool:
        """Whether it is the account's root user, which may do everything."""
        return self.arn.endswith(":root")

    @property
    def role(self) -> str | None:
        """Name of the role whose session it is, if it is one."""
        kind, _, rest = self.arn.rpartition(":")[2].partition("/")
        return rest.partition("/")[0] if kind == "assumed-role" else None

    @property
    def user(self) -> str | None:
        """The ARN itself, of an IAM user."""
        return self.arn if self.arn.rpartition(":")[2].startswith("user/") else None


@dataclass(frozen=True, slots=True)
class CredentialsFound:
    """Where credentials came from, in the SDK's own word, and how long they last."""

    source: str
    temporary: bool
    renewed: bool
    """Whether the SDK gets new ones by itself."""
    ends_at: float | None


@dataclass(frozen=True, slots=True)
class Decision:
    """IAM's answer to: may this identity do this?"""

    action: str
    allowed: bool
    explicit: bool
    """Whether a statement denies it, so that no other policy can allow it."""
    unknown: tuple[str, ...]
    """Condition keys that the answer depends on and a simulation does not know."""


@dataclass(frozen=True, slots=True)
class OidcProviderFound:
    """An OIDC provider as IAM has it. `issuer` is its URL without the scheme."""

    issuer: str
    audiences: tuple[str, ...]


class AwsAccount:
    """Raises TransientError or PermanentError with the operation, the object and the provider's code and request id."""

    def __init__(
        self, session: AwsSession, sts: "STSClient", iam: "IAMClient", *, metrics: Metrics, runtime: Runtime
    ) -> None:
        self._session = session
        self._sts = sts
        self._iam = iam
        self._metrics = metrics
        self._runtime = runtime

    @classmethod
    async def open(cls, session: AwsSession, *, metrics: Metrics, runtime: Runtime) -> Self:
        """Of an open session; nothing is asked yet."""
        return cls(session, await session.sts(), await session.iam(retries=True), metrics=metrics, runtime=runtime)

    @property
    def region(self) -> str | None:
        """The region in force, whether from the settings, the environment or a profile; None without one."""
        name = self._sts.meta.region_name
        return None if name in _NO_REGIONS else name

    async def credentials(self) -> CredentialsFound | None:
        """Where credentials come from; None when there are none."""
        found = await self._session.credentials()
        if found is None:
            return None
        # Only credentials that are renewed know their end, and the SDK tells it nowhere else.
        ends_at: datetime | None = getattr(found, "_expiry_time", None)
        renewed = ends_at is not None or hasattr(found, "refresh_needed")
        return CredentialsFound(
            source=found.method,
            temporary=renewed or found.token is not None,
            renewed=renewed,
            ends_at=None if ends_at is None else ends_at.timestamp(),
        )

    async def caller(self) -> Caller:
        """As whom AWS knows the agent; every identity may ask."""
        calls = self._calls("sts")
        answer = await calls.call(
            "GetCallerIdentity", "the caller", self._sts.get_caller_identity(), timeout_s=_TIMEOUT_S
        )
        return Caller(answer["Arn"], answer["Account"])

    async def ahead_s(self) -> float | None:
        """How far this machine's clock is ahead of AWS', within a second; None when the answer has no date.

        A refusal has a date too: a clock that is minutes off makes every signature invalid.
        """
        before = self._runtime.now()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                answer: Answer = await self._sts.get_caller_identity()
        except ClientError as error:
            answer = error.response
        except CAUGHT as error:
            raise to_error(classify(error), service="sts", operation="GetCallerIdentity", obj="the clock") from error
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        return None if date is None else ahead_s(date, before, self._runtime.now())

    async def role_arn(self, name: str) -> str | None:
        """A role's ARN with its path, which the ARN of a session leaves out."""
        answer = await self._calls("iam").call_unless(
            "GetRole", f"role {name}", self._iam.get_role(RoleName=name), timeout_s=_TIMEOUT_S, refusals=NO_ENTITY
        )
        return None if answer is None else answer["Role"]["Arn"]

    async def decisions(self, principal: str, actions: Sequence[str], resource: str) -> Sequence[Decision]:
        """What the principal's own policies say of each action on the resource, boundary and organisation included."""
        found: list[EvaluationResultTypeDef] = []
        more = _More()
        while True:
            request = self._iam.simulate_principal_policy(
                PolicySourceArn=principal, ActionNames=actions, ResourceArns=[resource], **more
            )
            page = await self._calls("iam").call("SimulatePrincipalPolicy", principal, request, timeout_s=_TIMEOUT_S)
            found += page.get("EvaluationResults", [])
            if not page.get("IsTruncated", False):
                return [_decision(result) for result in found]
            more = _More(Marker=page["Marker"])

    async def oidc_provider(self, arn: str) -> OidcProviderFound | None:
        """An OIDC provider of the account."""
        answer = await self._calls("iam").call_unless(
            "GetOpenIDConnectProvider",
            arn,
            self._iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn),
            timeout_s=_TIMEOUT_S,
            refusals=NO_ENTITY,
        )
        if answer is None:
            return None
        return OidcProviderFound(answer["Url"].removeprefix("https://"), tuple(answer.get("ClientIDList", [])))

    async def has_policy(self, arn: str) -> bool:
        """Whether a managed policy exists."""
        answer = await self._calls("iam").call_unless(
            "GetPolicy", arn, self._iam.get_policy(PolicyArn=arn), timeout_s=_TIMEOUT_S, refusals=NO_ENTITY
        )
        return answer is not None

    async def has_bucket(self, name: str) -> bool:
        """Whether a bucket exists, and lets the agent look."""
        s3 = await self._session.s3()
        answer = await self._calls("s3").call_unless(
            "HeadBucket", f"bucket {name}", s3.head_bucket(Bucket=name), timeout_s=_TIMEOUT_S, refusals=_NO_BUCKET
        )
        return answer is not None

    def _calls(self, service: str) -> AwsCalls:
        return AwsCalls(port="account", service=service, metrics=self._metrics, runtime=self._runtime)


def ahead_s(date: str, before: float, after: float) -> float:
    """How far a clock that showed `before` and `after` around an answer with this Date header is ahead of the sender's."""
    theirs = parsedate_to_datetime(date).timestamp() + _HALF_A_SECOND
    return (before + after) / 2 - theirs


def _decision(result: "EvaluationResultTypeDef") -> Decision:
    verdict = result["EvalDecision"]
    return Decision(
        action=result["EvalActionName"],
        allowed=verdict == "allowed",
        explicit=verdict == "explicitDeny",
        unknown=tuple(result.get("MissingContextValues", [])),
    )
