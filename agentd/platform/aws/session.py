"""AWS clients, made once and closed together."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError

from agentd.core import AwsConfig
from agentd.platform.aws.errors import classify, to_error

if TYPE_CHECKING:
    from aiobotocore.credentials import AioCredentials
    from types_aiobotocore_ecr import ECRClient
    from types_aiobotocore_iam import IAMClient
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_sts import STSClient

_CONNECT_S = 3.0
_READ_S = 30.0
_CONNECTIONS = 50
_ATTEMPTS = 4


class AwsSession:
    """An async context manager. Credentials are looked up by the SDK, from every usual source.

    `session`: one that shares with others what the SDK has read of endpoints and services.
    """

    def __init__(self, config: AwsConfig, session: AioSession | None = None) -> None:
        self._config = config
        self._session = session or AioSession(profile=config.profile)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def ecr(self, *, retries: bool) -> "ECRClient":
        """A client for ECR; `retries` by the SDK are for reads alone (I4)."""
        client: ECRClient = await self._client("ecr", retries=retries)
        return client

    async def iam(self, *, retries: bool) -> "IAMClient":
        """A client for IAM; `retries` by the SDK are for reads alone (I4)."""
        client: IAMClient = await self._client("iam", retries=retries)
        return client

    async def s3(self) -> "S3Client":
        """A client for S3. Its reads and whole-object writes may be repeated, so the SDK does."""
        client: S3Client = await self._client("s3", retries=True)
        return client

    async def eks(self) -> Any:  # noqa: ANN401 - the SDK's types for EKS are not installed; its user declares what it needs
        """A client for EKS, for reads."""
        return await self._client("eks", retries=True)

    async def secrets(self) -> Any:  # noqa: ANN401 - the SDK's types for Secrets Manager are not installed
        """A client for Secrets Manager, for reads."""
        return await self._client("secretsmanager", retries=True)

    async def sts(self) -> "STSClient":
        """A client for STS of its own, for the caller to set up."""
        client: STSClient = await self._client("sts", retries=True)
        return client

    async def credentials(self) -> "AioCredentials | None":
        """What the SDK found to sign with; None when there is nothing. Raises TransientError or PermanentError."""
        try:
            found: AioCredentials | None = await self._session.get_credentials()
        except BotoCoreError as error:
            raise to_error(classify(error), service="aws", operation="credentials", obj="this machine") from error
        return found

    async def _client(
        self, service: Literal["ecr", "eks", "iam", "s3", "secretsmanager", "sts"], *, retries: bool
    ) -> Any:  # noqa: ANN401 - typed by the callers
        config = AioConfig(
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            max_pool_connections=_CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS if retries else 1},
            user_agent_extra="conveyor-agent",
        )
        try:
            return await self._stack.enter_async_context(
                self._session.create_client(
                    service,
                    region_name=self._config.region,
                    endpoint_url=self._config.endpoint_url,
                    config=config,
                )
            )
        except BotoCoreError as error:
            raise to_error(classify(error), service=service, operation="client", obj="this machine") from error
