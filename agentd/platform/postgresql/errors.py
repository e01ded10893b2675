"""What PostgreSQL's client raises, as the agent's own errors. Source of the codes: PostgreSQL, appendix A."""

from enum import StrEnum

import asyncpg

from agentd.core import AgentError, PermanentError, Reason, TransientError

CAUGHT = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class CallCode(StrEnum):
    """How a call ended: the closed set behind the metric's label."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    THROTTLED = "throttled"
    DENIED = "denied"
    IN_USE = "in_use"
    INVALID = "invalid"
    CANCELLED = "cancelled"


# By the whole code, else by its class, the first two letters.
_CODES = {
    "08": CallCode.UNAVAILABLE,  # connection exception
    "28": CallCode.DENIED,  # invalid authorization
    "2BP01": CallCode.IN_USE,  # dependent objects still exist
    "40": CallCode.UNAVAILABLE,  # transaction rollback: deadlocks
    "42501": CallCode.DENIED,  # insufficient privilege
    "53": CallCode.THROTTLED,  # insufficient resources: too many connections, disk full
    "55": CallCode.UNAVAILABLE,  # object not in the needed state: locked, in use
    "57": CallCode.UNAVAILABLE,  # operator intervention: shutting down, starting up, query cancelled
}
_PASSING = {CallCode.UNAVAILABLE: Reason.UNAVAILABLE, CallCode.THROTTLED: Reason.THROTTLED}
_LASTING = {
    CallCode.DENIED: Reason.ACCESS_DENIED,
    CallCode.IN_USE: Reason.IN_USE,
    CallCode.INVALID: Reason.INVALID_REQUEST,
}


def classify(error: BaseException) -> CallCode:
    """What kind of failure it is."""
    if not isinstance(error, asyncpg.PostgresError):
        return CallCode.UNAVAILABLE
    state = error.sqlstate or ""
    return _CODES.get(state) or _CODES.get(state[:2]) or CallCode.INVALID


def to_error(error: BaseException, *, operation: str, obj: str) -> AgentError:
    """The error, naming operation, object and the server's own code."""
    code = classify(error)
    said = str(error) or "no answer in time"
    state = f" ({error.sqlstate})" if isinstance(error, asyncpg.PostgresError) else ""
    message = f"postgresql {operation} on {obj}: {said}{state}"
    passing = _PASSING.get(code)
    return PermanentError(_LASTING[code], message) if passing is None else TransientError(passing, message)
