"""What Azure Tables and their SDK say, in our words. The codes are those of the service's documentation."""

from collections.abc import Mapping

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from agentd.core import AgentError, PermanentError, Reason, TransientError

_CONFLICTS = frozenset({"UpdateConditionNotSatisfied", "EntityAlreadyExists", "ConditionNotMet"})
_NO_ENTITY = frozenset({"ResourceNotFound", "EntityNotFound", "EntityDoesNotExist"})
_NO_TABLE = "TableNotFound"
_THROTTLED = frozenset({"ServerBusy", "TooManyRequests"})
_PASSING = frozenset({"InternalError", "OperationTimedOut", "TableBeingDeleted"})
_HOW_TO = "make the table, or let the agent make it (ledger.azure_table.create_table)"
_DENIED = (401, 403)
_TOO_MANY = 429
_SERVER_ERROR = 500


def is_conflict(error: BaseException) -> bool:
    """Whether a write was refused because something was not as expected."""
    return _code(error) in _CONFLICTS


def is_entity_missing(error: BaseException | None) -> bool:
    """Whether the document is not there; the table is."""
    return _code(error) in _NO_ENTITY


def is_table_missing(error: BaseException | None) -> bool:
    """Whether the table is not there."""
    return _code(error) == _NO_TABLE


def call_error(error: Exception, *, operation: str, table: str) -> AgentError:
    """The error of a whole call; its message names operation, table, the provider's code and the request id."""
    where = f"{operation} on table {table}"
    if isinstance(error, HttpResponseError) and error.response is not None:
        return _answered(error, where)
    if isinstance(error, ClientAuthenticationError):  # of the identity, before the table has been asked
        return PermanentError(Reason.ACCESS_DENIED, f"{where}: {_first_line(error)}")
    if isinstance(error, TimeoutError):
        return TransientError(Reason.UNAVAILABLE, f"{where}: no answer in time")
    # Connections, names, certificates: whatever it is, it may be mended.
    return TransientError(Reason.UNAVAILABLE, f"{where}: {type(error).__name__}: {_first_line(error)}")


def _answered(error: HttpResponseError, where: str) -> AgentError:
    code, status = _code(error), error.status_code or 0
    message = f"{where}: {code}: {_first_line(error)} (request {_headers(error).get('x-ms-request-id', 'none')})"
    if code in _THROTTLED or status == _TOO_MANY:
        return TransientError(Reason.THROTTLED, message)
    if code in _PASSING or status >= _SERVER_ERROR:
        return TransientError(Reason.UNAVAILABLE, message)
    if status in _DENIED:
        return PermanentError(Reason.ACCESS_DENIED, message)
    return PermanentError(Reason.INVALID_REQUEST, f"{message}; {_HOW_TO}" if code == _NO_TABLE else message)


def _code(error: BaseException | None) -> str:
    """The service's own code; the HTTP status when it gives none, nothing when the service has not answered."""
    if not isinstance(error, HttpResponseError):
        return ""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or f"HTTP {error.status_code}")


def _headers(error: HttpResponseError) -> Mapping[str, str]:
    headers: Mapping[str, str] | None = getattr(error.response, "headers", None)
    return headers or {}


def _first_line(error: Exception) -> str:
    text = error.message if isinstance(error, AzureError) else str(error)
    return text.partition("\n")[0].strip()
