"""From what Airflow, its client and what stands in between say to the agent's own errors, at the edge. Pure.

Source: what an API server of version 3.3 answers, and a Kubernetes API server in its place.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import aiohttp
from pydantic import ValidationError

from agentd.core import AgentError, NotReady, PermanentError, Reason, TransientError

# What a call may raise. OSError covers TimeoutError and broken connections; ValueError an answer that is not as it should be.
CAUGHT = (aiohttp.ClientError, OSError, ValueError)


class CallCode(StrEnum):
    """How a call ended: the closed set behind the metric's label."""

    OK = "ok"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    """No answer, none that makes sense, or a fault of the server: a write may have had its effect all the same."""
    NOT_THERE = "not_there"
    """Nobody listens, or there is no Service yet: nothing has been done."""
    DENIED = "denied"
    CREDENTIALS = "credentials"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    INVALID = "invalid"
    UNSUPPORTED = "unsupported"
    """The call is none that this Airflow has."""
    TOO_LARGE = "too_large"
    CANCELLED = "cancelled"


class TooLarge(ValueError):
    """An answer of more bytes than are read."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, in the words of who said it, and how it is counted. `about` names operation and environment."""

    code: CallCode
    about: str
    detail: str
    retry_after: float | None = None

    def error(self) -> AgentError:
        """The agent's own error, which names the operation, the environment and what was said."""
        message = f"{self.about}: {_HINTS.get(self.code, '')}{self.detail}"
        if self.code is CallCode.NOT_THERE:
            return NotReady(message, retry_after=self.retry_after)
        permanent = _PERMANENT.get(self.code)
        if permanent is not None:
            return PermanentError(permanent, message)
        reason = Reason.THROTTLED if self.code is CallCode.THROTTLED else Reason.UNAVAILABLE
        return TransientError(reason, message, retry_after=self.retry_after)


_HINTS: Mapping[CallCode, str] = MappingProxyType(
    {
        CallCode.NOT_THERE: "Airflow is not there: ",
        CallCode.DENIED: "the caller lacks a right: ",
        CallCode.CREDENTIALS: "the agent's token is not accepted (another secret, or a clock that is wrong): ",
        CallCode.UNSUPPORTED: "this Airflow does not know the call: ",
    }
)
_PERMANENT: Mapping[CallCode, Reason] = MappingProxyType(
    {
        CallCode.DENIED: Reason.ACCESS_DENIED,
        CallCode.NOT_FOUND: Reason.INVALID_REQUEST,
        CallCode.CONFLICT: Reason.INVALID_REQUEST,
        CallCode.INVALID: Reason.INVALID_REQUEST,
        CallCode.UNSUPPORTED: Reason.UNSUPPORTED,
        CallCode.TOO_LARGE: Reason.INVALID_REQUEST,
    }
)
_BY_STATUS: Mapping[int, CallCode] = MappingProxyType(
    {
        401: CallCode.CREDENTIALS,
        403: CallCode.DENIED,
        404: CallCode.NOT_FOUND,
        405: CallCode.UNSUPPORTED,
        409: CallCode.CONFLICT,
        429: CallCode.THROTTLED,
    }
)
# Of the API server, in the Service's place: the Service is missing, or none of its pods is ready.
_STATUS_NOT_THERE = (404, 503)
_BAD_REQUEST = 400
_SERVER_FAULT = 500
# Airflow refuses a bad token as it refuses a right; only the text tells the two apart.
_BAD_TOKEN = "Invalid JWT token"  # noqa: S105 - what Airflow says of one
_NO_ROUTE = "API route not found"
_MOST_DETAIL = 500


def of_answer(status: int, headers: Mapping[str, str], body: bytes, *, about: str) -> Failure:
    """What an answer that is no success means."""
    said = _object(body)
    if said.get("kind") == "Status":
        return _of_cluster(status, said, about)
    detail = _detail(said, status, headers, body)
    return Failure(_code(status, detail), about, detail[:_MOST_DETAIL], _seconds(headers.get("Retry-After")))


def of_exception(error: BaseException, *, about: str) -> Failure:
    """What one of the exceptions in CAUGHT means."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return Failure(CallCode.UNAVAILABLE, about, f"the answer is not as Airflow gives it: {where}: {first['msg']}")
    code = CallCode.UNAVAILABLE
    if isinstance(error, TooLarge):
        code = CallCode.TOO_LARGE
    elif isinstance(error, aiohttp.ClientConnectorError):
        code = CallCode.NOT_THERE
    detail = str(error)[:_MOST_DETAIL] or "no answer in time"
    return Failure(code, about, f"{type(error).__name__}: {detail}")


def _of_cluster(status: int, said: Mapping[str, Any], about: str) -> Failure:
    """The Kubernetes API server has answered, and not Airflow."""
    detail = f"kubernetes: {said.get('reason') or status}: {said.get('message') or 'no message'}"
    code = CallCode.NOT_THERE if status in _STATUS_NOT_THERE else _code(status, detail)
    seconds = (said.get("details") or {}).get("retryAfterSeconds")
    return Failure(code, about, detail[:_MOST_DETAIL], float(seconds) if seconds else None)


def _code(status: int, detail: str) -> CallCode:
    if _BAD_TOKEN in detail:
        return CallCode.CREDENTIALS
    if _NO_ROUTE in detail:
        return CallCode.UNSUPPORTED
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    return CallCode.INVALID if _BAD_REQUEST <= status < _SERVER_FAULT else CallCode.UNAVAILABLE


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _detail(said: Mapping[str, Any], status: int, headers: Mapping[str, str], body: bytes) -> str:
    """What was said; of anything but JSON and plain text only that it was said."""
    detail = said.get("detail", said.get("error"))
    if isinstance(detail, list):
        return f"{status}: " + "; ".join(_field_problem(problem) for problem in detail)
    if isinstance(detail, dict):
        return f"{status}: {detail.get('reason')}: {detail.get('message')}"
    if detail is not None:
        return f"{status}: {detail}"
    if headers.get("Content-Type", "").startswith("text/plain"):
        return f"{status}: {body.decode(errors='replace').strip()}"
    return f"{status}: the answer has no text"


def _field_problem(problem: Any) -> str:  # noqa: ANN401 - one entry of a list that comes from outside
    if not isinstance(problem, dict):
        return str(problem)
    return f"{'.'.join(str(part) for part in problem.get('loc', ()))}: {problem.get('msg')}"


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdecimal() else None
