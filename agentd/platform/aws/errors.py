"""From the SDK's exceptions to the agent's own, at the edge. Pure.

Source of the codes: the common errors of the AWS APIs, botocore's list of throttling codes, and the ECR, IAM
and S3 API references.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
    UnknownRegionError,
    ValidationError,
)

from agentd.core import AgentError, PermanentError, Reason, TransientError

# What a call may raise. OSError covers TimeoutError and broken connections.
CAUGHT = (BotoCoreError, ClientError, aiohttp.ClientError, OSError)


class CallCode(StrEnum):
    """How a call ended: the closed set behind the metric's label."""

    OK = "ok"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    DENIED = "denied"
    CREDENTIALS = "credentials"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    NOT_EMPTY = "not_empty"
    QUOTA = "quota"
    INVALID = "invalid"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, in the provider's words, and how it is counted."""

    code: CallCode
    provider_code: str
    detail: str
    request_id: str | None = None
    retry_after: float | None = None


_CODES: Mapping[str, CallCode] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "BandwidthLimitExceeded",
                "EC2ThrottledException",
                "PriorRequestNotComplete",
                "ProvisionedThroughputExceededException",
                "RequestLimitExceeded",
                "RequestThrottled",
                "RequestThrottledException",
                "SlowDown",
                "ThrottledException",
                "Throttling",
                "ThrottlingException",
                "TooManyRequestsException",
            ),
            CallCode.THROTTLED,
        ),
        **dict.fromkeys(
            ("InternalError", "InternalFailure", "KmsException", "RequestTimeout", "ServerException", "ServiceFailure"),
            CallCode.UNAVAILABLE,
        ),
        **dict.fromkeys(
            (
                "AuthFailure",
                "ExpiredToken",
                "ExpiredTokenException",
                "IncompleteSignature",
                "InvalidAccessKeyId",
                "InvalidClientTokenId",
                "InvalidSignatureException",
                "InvalidToken",
                "MissingAuthenticationToken",
                "RequestExpired",
                "RequestTimeTooSkewed",
                "SignatureDoesNotMatch",
                "TokenRefreshRequired",
                "UnrecognizedClientException",
            ),
            CallCode.CREDENTIALS,
        ),
        **dict.fromkeys(
            ("AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"), CallCode.DENIED
        ),
        **dict.fromkeys(
            ("LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "TooManyTagsException"),
            CallCode.QUOTA,
        ),
        **dict.fromkeys(
            (
                "ImageNotFoundException",
                "LifecyclePolicyNotFoundException",
                "NoSuchBucket",
                "NoSuchEntity",
                "NoSuchKey",
                "RepositoryNotFoundException",
                "RepositoryPolicyNotFoundException",
            ),
            CallCode.NOT_FOUND,
        ),
        **dict.fromkeys(
            (
                "ConcurrentModification",
                "ConflictException",
                "DeleteConflict",
                "EntityAlreadyExists",
                "EntityTemporarilyUnmodifiable",
                "ImageAlreadyExistsException",
                "ImageTagAlreadyExistsException",
                "OperationAborted",
                "RepositoryAlreadyExistsException",
            ),
            CallCode.CONFLICT,
        ),
        "RepositoryNotEmptyException": CallCode.NOT_EMPTY,
    }
)
_BY_STATUS: Mapping[int, CallCode] = MappingProxyType(
    {
        401: CallCode.CREDENTIALS,
        403: CallCode.DENIED,
        404: CallCode.NOT_FOUND,
        409: CallCode.CONFLICT,
        429: CallCode.THROTTLED,
    }
)
_PERMANENT: Mapping[CallCode, Reason] = MappingProxyType(
    {
        CallCode.DENIED: Reason.ACCESS_DENIED,
        CallCode.QUOTA: Reason.QUOTA_EXCEEDED,
        CallCode.INVALID: Reason.INVALID_REQUEST,
        CallCode.NOT_EMPTY: Reason.NOT_EMPTY,
    }
)
_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    TokenRetrievalError,
    SSOError,
)
_INVALID = (ParamValidationError, ValidationError, NoRegionError, UnknownRegionError, ProfileNotFound)

# IAM's own names where they differ from the operation's. Source: the Service Authorization Reference.
_IAM_ACTIONS = MappingProxyType({"s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket"})
_SERVER_FAULT = 500
_MOST_DETAIL = 500


def classify(error: BaseException) -> Failure:
    """What one of the exceptions in CAUGHT means."""
    if isinstance(error, ClientError):
        return _classify_answer(error)
    name = type(error).__name__
    detail = str(error)[:_MOST_DETAIL] or "no answer in time"
    if isinstance(error, _CREDENTIALS):
        return Failure(CallCode.CREDENTIALS, name, detail)
    if isinstance(error, _INVALID):
        return Failure(CallCode.INVALID, name, detail)
    return Failure(CallCode.UNAVAILABLE, name, detail)


def to_error(failure: Failure, *, service: str, operation: str, obj: str) -> AgentError:
    """The agent's own error, which names the operation, the object and the provider's code and request id."""
    message = f"{service} {operation} on {obj}: {_hint(failure.code, service, operation)}"
    message += f"{failure.provider_code}: {failure.detail}"
    if failure.request_id:
        message += f" (request {failure.request_id})"
    permanent = _PERMANENT.get(failure.code)
    if permanent is not None:
        return PermanentError(permanent, message)
    # Not found and in conflict too: what was there a moment ago has changed, and the next attempt looks again.
    reason = Reason.THROTTLED if failure.code is CallCode.THROTTLED else Reason.UNAVAILABLE
    return TransientError(reason, message, retry_after=failure.retry_after)


def _hint(code: CallCode, service: str, operation: str) -> str:
    if code is CallCode.DENIED:
        action = f"{service}:{operation}"
        return f"the agent's identity may not {_IAM_ACTIONS.get(action, action)}: "
    if code is CallCode.CREDENTIALS:
        return "the agent's AWS credentials are missing, expired or not accepted: "
    return ""


def _classify_answer(error: ClientError) -> Failure:
    answer: Mapping[str, Any] = error.response  # AWS' own shapes: every part may be missing
    found = answer.get("Error", {})
    metadata = answer.get("ResponseMetadata", {})
    provider_code = str(found.get("Code") or "Unknown")
    return Failure(
        code=_code(provider_code, int(metadata.get("HTTPStatusCode") or 0)),
        provider_code=provider_code,
        detail=str(found.get("Message") or "no message")[:_MOST_DETAIL],
        request_id=metadata.get("RequestId"),
        retry_after=_seconds(metadata.get("HTTPHeaders", {}).get("retry-after")),
    )


def _code(provider_code: str, status: int) -> CallCode:
    known = _CODES.get(provider_code) or _BY_STATUS.get(status)
    if known is not None:
        return known
    return CallCode.UNAVAILABLE if status >= _SERVER_FAULT or not status else CallCode.INVALID


def _seconds(header: str | None) -> float | None:
    """Of a Retry-After header; the form with a date is not used by AWS."""
    return float(header) if header is not None and header.isdecimal() else None
