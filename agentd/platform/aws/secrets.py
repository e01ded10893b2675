"""Secrets of AWS Secrets Manager."""

from typing import Any

from agentd.core import PermanentError, Reason, Runtime, SecretStore
from agentd.platform.aws.calls import AwsCalls
from agentd.telemetry import Metrics

_TIMEOUT_S = 10.0

SecretsClient = Any  # the SDK's client; its types for Secrets Manager are not installed


class AwsSecrets(SecretStore):
    """Names are secret ids: an ARN, or a name in the agent's own account and region."""

    def __init__(self, client: SecretsClient, *, metrics: Metrics, runtime: Runtime) -> None:
        self._client = client
        self._calls = AwsCalls(port="secrets", service="secretsmanager", metrics=metrics, runtime=runtime)

    async def fetch(self, name: str, *, limit_bytes: int) -> bytes:
        obj = f"secretsmanager:secret/{name}"
        answer: dict[str, Any] = await self._calls.call(
            "GetSecretValue", obj, self._client.get_secret_value(SecretId=name), timeout_s=_TIMEOUT_S
        )
        text = answer.get("SecretString")
        value: bytes = text.encode() if isinstance(text, str) else answer.get("SecretBinary", b"")
        if len(value) > limit_bytes:
            raise PermanentError(
                Reason.INVALID_REQUEST, f"{obj} has {len(value)} bytes; at most {limit_bytes} are read"
            )
        return value
