"""Copies of the audit log in an S3 bucket."""

from typing import TYPE_CHECKING

from agentd.core import PermanentError, Reason, Runtime
from agentd.platform.aws.calls import AwsCalls
from agentd.telemetry import Metrics

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

# Source: the S3 user guide on conditional writes.
_EXISTS = ("PreconditionFailed",)


class S3AuditStore:
    """Implements `agentd.core.AuditStore`. Objects are keys below one prefix; only new ones are written, none is replaced."""

    def __init__(
        self,
        client: "S3Client",
        *,
        bucket: str,
        prefix: str,
        timeout_s: float,
        metrics: Metrics,
        runtime: Runtime,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._calls = AwsCalls(port="audit", service="s3", metrics=metrics, runtime=runtime)

    async def put(self, name: str, data: bytes) -> None:
        """See the protocol. What is there is read only when it is in the way: the SDK may have repeated its own call."""
        key = f"{self._prefix}/{name}"
        uri = f"s3://{self._bucket}/{key}"
        request = self._client.put_object(
            Bucket=self._bucket, Key=key, Body=data, ContentType="application/jsonl", IfNoneMatch="*"
        )
        stored = await self._calls.call_unless("PutObject", uri, request, timeout_s=self._timeout_s, refusals=_EXISTS)
        if stored is None:
            there = await self._calls.call("GetObject", uri, self._read(key), timeout_s=self._timeout_s)
            if there != data:
                raise PermanentError(Reason.CONFLICT, f"{uri} holds something else than the file to be kept there")

    async def _read(self, key: str) -> bytes:
        answer = await self._client.get_object(Bucket=self._bucket, Key=key)
        async with answer["Body"] as body:
            return await body.read()
