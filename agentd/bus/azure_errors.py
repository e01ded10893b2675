"""What Azure Storage and its SDK say, in our words. The codes are those of the service's documentation."""

from collections.abc import Mapping

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from agentd.bus.protocol import EntryFailed, EntryRefused, EntryResult, ReceiptLost
from agentd.core import AgentError, PermanentError, Reason, TransientError

_THROTTLED = frozenset({"ServerBusy", "TooManyRequests"})
_PASSING = frozenset({"InternalError", "OperationTimedOut", "QueueBeingDeleted"})
_RECEIPT_LOST = frozenset({"PopReceiptMismatch", "MessageNotFound"})
_ENTRY_REFUSED = frozenset({
    "InvalidInput", "InvalidXmlDocument", "InvalidXmlNodeValue", "InvalidQueryParameterValue", "MessageTooLarge",
    "OutOfRangeInput", "OutOfRangeQueryParameterValue", "RequestBodyTooLarge",
})  # fmt: skip
_DENIED = (401, 403)
_TOO_MANY = 429
_SERVER_ERROR = 500


def code_of(error: HttpResponseError) -> str:
    """The service's own code; the HTTP status when it gives none."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or f"HTTP {error.status_code}")


def call_error(error: Exception, *, operation: str, queue: str) -> AgentError:
    """The error of a whole call; its message names operation, queue, the provider's code and the request id."""
    where = f"{operation} on queue {queue}"
    if isinstance(error, HttpResponseError) and error.response is not None:
        return _answered(error, where)
    if isinstance(error, ClientAuthenticationError):  # of the identity, before the queue has been asked
        return PermanentError(Reason.ACCESS_DENIED, f"{where}: {_first_line(error)}")
    if isinstance(error, TimeoutError):
        return TransientError(Reason.UNAVAILABLE, f"{where}: no answer in time")
    # Connections, names, certificates: whatever it is, it may be mended.
    return TransientError(Reason.UNAVAILABLE, f"{where}: {type(error).__name__}: {_first_line(error)}")


def _answered(error: HttpResponseError, where: str) -> AgentError:
    code, status = code_of(error), error.status_code or 0
    message = f"{where}: {code}: {_first_line(error)} (request {_headers(error).get('x-ms-request-id', 'none')})"
    if code in _THROTTLED or status == _TOO_MANY:
        return TransientError(Reason.THROTTLED, message, retry_after=_retry_after(error))
    if code in _PASSING or status >= _SERVER_ERROR:
        return TransientError(Reason.UNAVAILABLE, message, retry_after=_retry_after(error))
    if status in _DENIED:
        return PermanentError(Reason.ACCESS_DENIED, message)
    return PermanentError(Reason.INVALID_REQUEST, message)


def entry_error(error: Exception) -> EntryResult | None:
    """The result of one message's call; None when the error is about the queue, and no word about the message."""
    if not isinstance(error, HttpResponseError):
        return None
    code = code_of(error)
    text = f"{code}: {_first_line(error)}"
    if code in _RECEIPT_LOST or _about_the_receipt(error, code):
        return ReceiptLost(text)
    return EntryRefused(text) if code in _ENTRY_REFUSED else None


def entry_of(error: AgentError) -> EntryResult:
    """What an error about the queue means for one message of several."""
    if isinstance(error, TransientError):
        return EntryFailed(error.message, error.retry_after)
    return EntryRefused(error.message)


def _about_the_receipt(error: HttpResponseError, code: str) -> bool:
    info: Mapping[str, str] = getattr(error, "additional_info", None) or {}
    return code == "InvalidQueryParameterValue" and info.get("queryparametername", "").lower() == "popreceipt"


def _headers(error: HttpResponseError) -> Mapping[str, str]:
    headers: Mapping[str, str] | None = getattr(error.response, "headers", None)
    return headers or {}


def _retry_after(error: HttpResponseError) -> float | None:
    seconds = _headers(error).get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else None


def _first_line(error: Exception) -> str:
    text = error.message if isinstance(error, AzureError) else str(error)
    return text.partition("\n")[0].strip()
