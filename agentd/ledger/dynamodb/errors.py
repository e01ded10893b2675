"""What DynamoDB and its SDK say, in our words. The codes are those of the service's own model."""

from typing import Any

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

from agentd.core import AgentError, PermanentError, Reason, TransientError

_CANCELLED = "TransactionCanceledException"
_CONFLICTS = frozenset({"ConditionalCheckFailedException", "TransactionConflictException"})
_CONFLICT_REASONS = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
_THROTTLED = frozenset({
    "ProvisionedThroughputExceededException", "ProvisionedThroughputExceeded", "RequestLimitExceeded", "ThrottlingError",
    "ThrottlingException", "ReplicatedWriteConflictException", "TransactionInProgressException",
})  # fmt: skip
_PASSING = frozenset({
    "ExpiredToken", "ExpiredTokenException", "InternalServerError", "RequestExpired", "ServiceUnavailable",
})  # fmt: skip
_DENIED = frozenset({
    "AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "InvalidSignatureException",
    "MissingAuthenticationTokenException", "OptInRequired", "UnrecognizedClientException",
})  # fmt: skip
_NOT_FOUND = "ResourceNotFoundException"
_HOW_TO = (
    "make the table with a partition key `pk` and a sort key `sk`, both strings, or let the agent make it "
    "(ledger.dynamodb.create_table)"
)
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


def is_conflict(error: Exception) -> bool:
    """Whether a write was refused because something was not as expected, or because others were at it as well."""
    if not isinstance(error, ClientError):
        return False
    reasons = set(_cancellation_reasons(error))
    # Of a transaction nothing has been written either when one of its items is asked too much of.
    return _code(error) in _CONFLICTS or (bool(reasons) and reasons <= _CONFLICT_REASONS | _THROTTLED)


def is_in_use(error: BaseException | None) -> bool:
    """Whether there is a table of that name, or one is being made."""
    return isinstance(error, ClientError) and _code(error) in ("ResourceInUseException", "TableAlreadyExistsException")


def is_missing(error: BaseException | None) -> bool:
    """Whether the table is not there."""
    return isinstance(error, ClientError) and _code(error) == _NOT_FOUND


def call_error(error: Exception, *, operation: str, table: str) -> AgentError:
    """The error of a whole call; its message names operation, table, the provider's code and the request id."""
    where = f"{operation} on table {table}"
    if isinstance(error, ClientError):
        return _answered(error, where)
    if isinstance(error, _NO_CREDENTIALS):
        return PermanentError(Reason.ACCESS_DENIED, f"{where}: {error}")
    if isinstance(error, _MISCONFIGURED):
        return PermanentError(Reason.INVALID_REQUEST, f"{where}: {error}")
    # Connections, proxies, certificates, credentials that could not be fetched: whatever it is, it may be mended.
    return TransientError(Reason.UNAVAILABLE, f"{where}: {type(error).__name__}: {error}")


def _answered(error: ClientError, where: str) -> AgentError:
    code, status = _code(error), int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    request_id = error.response.get("ResponseMetadata", {}).get("RequestId", "none")
    message = f"{where}: {code}: {error.response.get('Error', {}).get('Message', '')} (request {request_id})"
    if code in _THROTTLED:
        return TransientError(Reason.THROTTLED, message)
    if code in _PASSING or status >= _SERVER_ERROR:
        return TransientError(Reason.UNAVAILABLE, message)
    if code in _DENIED:
        return PermanentError(Reason.ACCESS_DENIED, message)
    if code == _NOT_FOUND:
        message += f"; {_HOW_TO}"
    return PermanentError(Reason.INVALID_REQUEST, message)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def _cancellation_reasons(error: ClientError) -> list[str]:
    """Why a transaction was cancelled: a code for each change that had a part in it."""
    if _code(error) != _CANCELLED:
        return []
    response: Any = error.response  # the SDK's type knows no reasons
    return [
        reason["Code"] for reason in response.get("CancellationReasons", []) if reason.get("Code", "None") != "None"
    ]
