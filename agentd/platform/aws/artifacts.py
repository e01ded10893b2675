"""Artifacts in an S3 bucket."""

from typing import TYPE_CHECKING

from agentd.core import ArtifactStore, PermanentError, Reason, Runtime
from agentd.platform.aws.calls import AwsCalls
from agentd.telemetry import Metrics

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_MISSING = ("NoSuchKey", "NoSuchBucket", "404")
_CHUNK_BYTES = 256 * 1024


class S3Artifacts(ArtifactStore):
    """Objects are keys below one prefix of one bucket, and `s3://` URIs. Nothing outside is read or written."""

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
        self._prefix = f"{prefix}/"
        self._timeout_s = timeout_s
        self._calls = AwsCalls(port="artifacts", service="s3", metrics=metrics, runtime=runtime)

    async def fetch(self, uri: str, *, limit_bytes: int) -> bytes:
        data = await self._calls.call_unless(
            "GetObject",
            uri,
            self._read(self._key(uri), limit_bytes),
            timeout_s=self._timeout_s,
            refusals=_MISSING,
        )
        if data is None:
            raise PermanentError(Reason.DATA_UNAVAILABLE, f"{uri} is not there")
        if len(data) > limit_bytes:
            raise PermanentError(Reason.DATA_UNAVAILABLE, f"{uri} is larger than the limit of {limit_bytes} bytes")
        return data

    async def store(self, key: str, data: bytes) -> str:
        if not key or key.startswith("/") or ".." in key.split("/"):
            raise PermanentError(Reason.INVALID_REQUEST, f"artifact key {key!r} leads out of the artifact store")
        uri = f"s3://{self._bucket}/{self._prefix}{key}"
        request = self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}{key}", Body=data)
        await self._calls.call("PutObject", uri, request, timeout_s=self._timeout_s)
        return uri

    def _key(self, uri: str) -> str:
        """The key that a URI of this store names. A key is taken as it is: S3 knows no dots and no escapes."""
        bucket_uri = f"s3://{self._bucket}/"
        key = uri.removeprefix(bucket_uri)
        if key == uri or not key.startswith(self._prefix) or ".." in key.split("/"):
            raise PermanentError(Reason.DATA_UNAVAILABLE, f"{uri} is not in this agent's artifact store")
        return key

    async def _read(self, key: str, limit_bytes: int) -> bytes:
        """The object, or a little more of it than the limit."""
        answer = await self._client.get_object(Bucket=self._bucket, Key=key)
        data = bytearray()
        async with answer["Body"] as body:
            while len(data) <= limit_bytes and (chunk := await body.read(_CHUNK_BYTES)):
                data += chunk
        return bytes(data)
