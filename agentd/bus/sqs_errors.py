"""What SQS and its SDK say, in our words. The codes are those of the service's own model."""

from botocore.exceptions import (
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from agentd.bus.protocol import EntryFailed, EntryRefused, EntryResult, ReceiptLost
from agentd.core import AgentError, PermanentError, Reason, TransientError

_THROTTLED = frozenset(
    {"RequestThrottled", "Throttling", "ThrottlingException", "TooManyRequestsException", "KmsThrottled", "OverLimit"}
)
_DENIED = frozenset({
    "AccessDenied", "AccessDeniedException", "KmsAccessDenied", "InvalidSecurity", "InvalidClientTokenId",
    "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure", "OptInRequired",
})  # fmt: skip
_PASSING = frozenset({
    "InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable", "RequestTimeout",
    "ExpiredToken", "ExpiredTokenException", "RequestExpired", "KmsInvalidState",
})  # fmt: skip
_RECEIPT_LOST = frozenset({"ReceiptHandleIsInvalid", "MessageNotInflight"})
_SERVER_ERROR = 500
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError)
_MISCONFIGURED = (
    ConfigNotFound,
    ConfigParseError,
    InvalidRegionError,
    NoRegionError,
    ParamValidationError,
    ProfileNotFound,
)


def plain_code(code: str) -> str:
    """The code without the prefix that the older protocol gives it."""
    return code.removeprefix("AWS.SimpleQueueService.")


def call_error(error: Exception, *, operation: str, queue: str) -> AgentError:
    """The error of a whole call; its message names operation, queue, the provider's code and the request id."""
    if isinstance(error, ClientError):
        return _answered(error, operation, queue)
    where = f"{operation} on queue {queue}"
    if isinstance(error, _NO_CREDENTIALS):
        return PermanentError(Reason.ACCESS_DENIED, f"{where}: {error}")
    if isinstance(error, _MISCONFIGURED):
        return PermanentError(Reason.INVALID_REQUEST, f"{where}: {error}")
    if isinstance(error, TimeoutError):
        return TransientError(Reason.UNAVAILABLE, f"{where}: no answer in time")
    # Connections, proxies, certificates, credentials that could not be fetched: whatever it is, it may be mended.
    return TransientError(Reason.UNAVAILABLE, f"{where}: {type(error).__name__}: {error}")


def _answered(error: ClientError, operation: str, queue: str) -> AgentError:
    answer = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    code = plain_code(str(answer.get("Code", "Unknown")))
    status = int(metadata.get("HTTPStatusCode", 0))
    request_id = metadata.get("RequestId", "none")
    message = f"{operation} on queue {queue}: {code}: {answer.get('Message', '')} (request {request_id})"
    if code in _THROTTLED:
        return TransientError(Reason.THROTTLED, message)
    if code in _PASSING or status >= _SERVER_ERROR:
        return TransientError(Reason.UNAVAILABLE, message)
    if code in _DENIED:
        return PermanentError(Reason.ACCESS_DENIED, message)
    return PermanentError(Reason.INVALID_REQUEST, message)


def entry_error(code: str, message: str, *, sender_fault: bool) -> EntryResult:
    """The result of one failed entry of a batch."""
    code = plain_code(code)
    text = f"{code}: {message}"
    if code in _RECEIPT_LOST or (code == "InvalidParameterValue" and "receipthandle" in message.lower()):
        return ReceiptLost(text)
    if code in _THROTTLED or code in _PASSING or not sender_fault:
        return EntryFailed(text)
    return EntryRefused(text)
