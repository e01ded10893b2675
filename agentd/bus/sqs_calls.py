"""Calls to SQS in its JSON protocol, on what the SDK sets up: endpoint, credentials, and its transport with connections,
proxies, certificates and time-outs.

The SDK's own way through a call (hooks, serializers and parsers that walk the service model, a user agent and a signing key
made anew each time) takes four times the CPU that this takes, and that is most of what a message costs. A call that fails is
read by the SDK's own parser, and raises the SDK's own errors.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, cast

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ClientError, HTTPClientError, NoCredentialsError
from botocore.loaders import Loader, create_loader
from botocore.parsers import create_parser
from pydantic_core import from_json, to_json

from agentd.bus.sqs_signing import Signer
from agentd.bus.sqs_wire import Json
from agentd.core import Runtime

# Sends a request; the SDK's answer. Raises HTTPClientError.
Send = Callable[[AWSPreparedRequest], Awaitable[Any]]

_MULTIPLE_CHOICES = 300


class SqsCalls:
    """Calls to one endpoint. Nothing is retried."""

    def __init__(
        self,
        send: Send,
        credentials: AioCredentials | None,
        *,
        url: str,
        region: str,
        user_agent: str,
        runtime: Runtime,
    ) -> None:
        self._send = send
        self._credentials = credentials
        self._url = url
        self._signer = Signer(url, region)
        self._user_agent = user_agent
        self._runtime = runtime

    async def call(self, operation: str, request: Mapping[str, Any]) -> Json:
        """The answer. Raises ClientError for one that says no, BotoCoreError when there is none."""
        if self._credentials is None:
            raise NoCredentialsError
        keys = await self._credentials.get_frozen_credentials()
        body = to_json(request)
        headers = self._signer.headers(f"AmazonSQS.{operation}", body, keys, now=self._runtime.now())
        headers["user-agent"] = self._user_agent
        sent = AWSPreparedRequest("POST", self._url, headers, body, stream_output=False)  # type: ignore[arg-type] # any mapping
        answer = await self._send(sent)
        content: bytes = await answer.content
        if answer.status_code >= _MULTIPLE_CHOICES:
            raise _refused(operation, answer.status_code, answer.headers, content)
        try:
            document: Json = from_json(content, cache_strings="keys")
        except ValueError as error:
            raise HTTPClientError(error=f"the answer is no JSON: {error}") from error
        return document


def new_session(profile: str | None) -> AioSession:
    """A session with credentials of its own. What the SDK knows of endpoints and services, 8 MiB, all sessions share."""
    session = AioSession(profile=profile)
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@cache
def _loader(data_path: str | None) -> Loader:
    return create_loader(data_path)


@asynccontextmanager
async def sqs_calls(
    session: AioSession,
    *,
    region: str | None,
    endpoint_url: str | None,
    connect_timeout_s: float,
    read_timeout_s: float,
    connections: int,
    runtime: Runtime,
) -> AsyncIterator[SqsCalls]:
    """Calls with the session's configuration, until the block ends. Raises BotoCoreError; ValueError for a bad endpoint."""
    transports: list[AIOHTTPSession] = []

    def transport(**options: Any) -> AIOHTTPSession:  # noqa: ANN401 - the SDK's own
        transports.append(AIOHTTPSession(**options))
        return transports[-1]

    config = AioConfig(
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout_s,
        max_pool_connections=connections,
        http_session_cls=transport,  # type: ignore[arg-type] # it need not be a class
    )
    creating = session.create_client("sqs", region_name=region, endpoint_url=endpoint_url, config=config)
    async with creating as client:
        yield SqsCalls(
            cast("Send", transports[-1].send),
            await session.get_credentials(),
            url=client.meta.endpoint_url.rstrip("/") + "/",
            region=client.meta.region_name,
            user_agent=session.user_agent(),
            runtime=runtime,
        )


def _refused(operation: str, status: int, headers: Mapping[str, str], content: bytes) -> ClientError:
    answer = {"status_code": status, "headers": headers, "body": content, "context": {"operation_name": operation}}
    return ClientError(create_parser("json").parse(answer, None), operation)  # type: ignore[arg-type] # errors have no shape here
