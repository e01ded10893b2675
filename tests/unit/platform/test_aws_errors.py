"""What each of the SDK's exceptions becomes."""

import aiohttp
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
    TokenRetrievalError,
)

from agentd.core import AgentError, AwsConfig, PermanentError, Reason, TransientError
from agentd.platform.aws.errors import CallCode, classify, to_error
from agentd.platform.aws.session import AwsSession


def _answer(code: str, status: int = 400, retry_after: str | None = None) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "as it says"},
            "ResponseMetadata": {
                "RequestId": "req-1",
                "HTTPStatusCode": status,
                "HTTPHeaders": {"retry-after": retry_after} if retry_after else {},
                "HostId": "",
                "RetryAttempts": 0,
            },
        },
        "CreateRepository",
    )


def _error(error: BaseException) -> AgentError:
    return to_error(classify(error), service="ecr", operation="CreateRepository", obj="ecr:repository/team/app")


@pytest.mark.parametrize(
    ("error", "code", "kind", "reason"),
    [
        (_answer("ThrottlingException"), CallCode.THROTTLED, TransientError, Reason.THROTTLED),
        (_answer("SlowDown", 503), CallCode.THROTTLED, TransientError, Reason.THROTTLED),
        (_answer("NewKindOfBusy", 429), CallCode.THROTTLED, TransientError, Reason.THROTTLED),
        (_answer("ServerException", 500), CallCode.UNAVAILABLE, TransientError, Reason.UNAVAILABLE),
        (_answer("Whatever", 503), CallCode.UNAVAILABLE, TransientError, Reason.UNAVAILABLE),
        (_answer("AccessDeniedException"), CallCode.DENIED, PermanentError, Reason.ACCESS_DENIED),
        (_answer("Whatever", 403), CallCode.DENIED, PermanentError, Reason.ACCESS_DENIED),
        (_answer("ExpiredTokenException", 403), CallCode.CREDENTIALS, TransientError, Reason.UNAVAILABLE),
        (_answer("UnrecognizedClientException"), CallCode.CREDENTIALS, TransientError, Reason.UNAVAILABLE),
        (_answer("LimitExceededException"), CallCode.QUOTA, PermanentError, Reason.QUOTA_EXCEEDED),
        (_answer("InvalidParameterException"), CallCode.INVALID, PermanentError, Reason.INVALID_REQUEST),
        (_answer("ValidationException"), CallCode.INVALID, PermanentError, Reason.INVALID_REQUEST),
        (_answer("RepositoryNotFoundException"), CallCode.NOT_FOUND, TransientError, Reason.UNAVAILABLE),
        (_answer("RepositoryNotEmptyException"), CallCode.NOT_EMPTY, PermanentError, Reason.NOT_EMPTY),
        (_answer("ImageTagAlreadyExistsException"), CallCode.CONFLICT, TransientError, Reason.UNAVAILABLE),
        (_answer("NoSuchEntity", 404), CallCode.NOT_FOUND, TransientError, Reason.UNAVAILABLE),
        (_answer("DeleteConflict", 409), CallCode.CONFLICT, TransientError, Reason.UNAVAILABLE),
        (_answer("ConflictException", 409), CallCode.CONFLICT, TransientError, Reason.UNAVAILABLE),
        (ConnectionClosedError(endpoint_url="x"), CallCode.UNAVAILABLE, TransientError, Reason.UNAVAILABLE),
        (EndpointConnectionError(endpoint_url="x"), CallCode.UNAVAILABLE, TransientError, Reason.UNAVAILABLE),
        (ReadTimeoutError(endpoint_url="x"), CallCode.UNAVAILABLE, TransientError, Reason.UNAVAILABLE),
        (TimeoutError(), CallCode.UNAVAILABLE, TransientError, Reason.UNAVAILABLE),
        (aiohttp.ClientPayloadError("cut off"), CallCode.UNAVAILABLE, TransientError, Reason.UNAVAILABLE),
        (NoCredentialsError(), CallCode.CREDENTIALS, TransientError, Reason.UNAVAILABLE),
        (
            TokenRetrievalError(provider="sso", error_msg="expired"),
            CallCode.CREDENTIALS,
            TransientError,
            Reason.UNAVAILABLE,
        ),
        (ParamValidationError(report="bad"), CallCode.INVALID, PermanentError, Reason.INVALID_REQUEST),
        (NoRegionError(), CallCode.INVALID, PermanentError, Reason.INVALID_REQUEST),
    ],
)
def test_exceptions_become_the_agents_own(
    error: BaseException, code: CallCode, kind: type[AgentError], reason: Reason
) -> None:
    assert classify(error).code is code
    translated = _error(error)
    assert type(translated) is kind
    assert translated.reason is reason
    assert translated.message.startswith("ecr CreateRepository on ecr:repository/team/app: ")


def test_the_message_has_the_providers_words_and_request() -> None:
    translated = _error(_answer("ServerException", 500))
    assert translated.message.endswith("ServerException: as it says (request req-1)")


def test_a_denied_call_names_the_action_to_grant() -> None:
    assert "may not ecr:CreateRepository" in _error(_answer("AccessDeniedException")).message
    head = to_error(classify(_answer("403", 403)), service="s3", operation="HeadObject", obj="s3://bucket/key")
    assert "may not s3:GetObject" in head.message


def test_lost_credentials_are_said_so() -> None:
    assert "credentials are missing, expired or not accepted" in _error(NoCredentialsError()).message


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2030 07:28:00 GMT", None), (None, None)])
def test_the_provider_may_say_when_to_come_back(header: str | None, seconds: float | None) -> None:
    translated = _error(_answer("ThrottlingException", retry_after=header))
    assert isinstance(translated, TransientError)
    assert translated.retry_after == seconds


async def test_a_missing_region_is_an_error_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    async with AwsSession(AwsConfig()) as session:
        with pytest.raises(PermanentError, match="region"):
            await session.ecr(retries=False)
