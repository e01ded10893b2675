"""From what the API server and its client say to the agent's own errors, at the edge. Pure.

Source: the Status object of the Kubernetes API conventions, and what a server of version 1.36 answers.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import aiohttp

from agentd.core import AgentError, NotReady, PermanentError, Reason, TransientError

# What a call may raise. OSError covers TimeoutError, TLS and broken connections; ValueError an answer that is no JSON.
CAUGHT = (aiohttp.ClientError, OSError, ValueError)


class CallCode(StrEnum):
    """How a call ended: the closed set behind the metric's label."""

    OK = "ok"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    """No answer, or a fault of the server: a write may have had its effect all the same."""
    DENIED = "denied"
    CREDENTIALS = "credentials"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    """The object is not the one that was read any more."""
    EXISTS = "exists"
    EXPIRED = "expired"
    """The resourceVersion or the page is too old: list again."""
    QUOTA = "quota"
    INVALID = "invalid"
    WAITING = "waiting"
    """Something in the cluster must come first: a namespace that leaves, a service account that is still being made."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, in the server's words, and how it is counted. `about` names operation and object."""

    code: CallCode
    about: str
    reason: str
    detail: str
    request_id: str | None = None
    retry_after: float | None = None

    def error(self) -> AgentError:
        """The agent's own error, which names the operation, the object and the server's reason."""
        message = f"kubernetes {self.about}: {_HINTS.get(self.code, '')}{self.reason}: {self.detail}"
        if self.request_id:
            message += f" (request {self.request_id})"
        if self.code is CallCode.WAITING:
            return NotReady(message, retry_after=self.retry_after)
        permanent = _PERMANENT.get(self.code)
        if permanent is not None:
            return PermanentError(permanent, message)
        # Not found and in conflict too: what was there a moment ago has changed, and the next attempt looks again.
        reason = Reason.THROTTLED if self.code is CallCode.THROTTLED else Reason.UNAVAILABLE
        return TransientError(reason, message, retry_after=self.retry_after)


_HINTS: Mapping[CallCode, str] = MappingProxyType(
    {
        CallCode.DENIED: "the agent's identity lacks a right: ",
        CallCode.CREDENTIALS: "the agent's credentials are missing, expired or not accepted: ",
    }
)
_PERMANENT: Mapping[CallCode, Reason] = MappingProxyType(
    {
        CallCode.DENIED: Reason.ACCESS_DENIED,
        CallCode.QUOTA: Reason.QUOTA_EXCEEDED,
        CallCode.INVALID: Reason.INVALID_REQUEST,
    }
)
_BY_STATUS: Mapping[int, CallCode] = MappingProxyType(
    {
        401: CallCode.CREDENTIALS,
        404: CallCode.NOT_FOUND,
        409: CallCode.CONFLICT,
        410: CallCode.EXPIRED,
        429: CallCode.THROTTLED,
    }
)
_FORBIDDEN = 403
_SERVER_FAULT = 500
# Admission refuses with 403 as well, for what an object holds and not for who asks; only the text tells the two apart.
_REFUSED_CONTENT = re.compile(
    "violates PodSecurity|admission webhook|ValidatingAdmissionPolicy|failed quota"
    "|(maximum|minimum) .* usage per|max limit to request ratio per"
)
_NOT_YET = "error looking up service account"
# Server-side apply answers a field that the schema does not have with 500, as if the fault were the server's.
_REFUSED_SCHEMA = "failed to create typed patch object"
_MOST_DETAIL = 500


def of_answer(status: int, headers: Mapping[str, str], body: bytes, *, about: str) -> Failure:
    """What an answer that is no success means."""
    said = _status_object(body)
    details = said.get("details") or {}
    reason = str(said.get("reason") or f"HTTP {status}")
    detail = _detail(said, headers, body)
    return Failure(
        code=_code(status, reason, detail, details),
        about=about,
        reason=reason,
        detail=detail[:_MOST_DETAIL],
        request_id=headers.get("Audit-Id"),
        retry_after=_seconds(headers.get("Retry-After"), details.get("retryAfterSeconds")),
    )


def of_exception(error: BaseException, *, about: str) -> Failure:
    """What one of the exceptions in CAUGHT means."""
    detail = str(error)[:_MOST_DETAIL] or "no answer in time"
    return Failure(CallCode.UNAVAILABLE, about, type(error).__name__, detail)


def _status_object(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) and said.get("kind") == "Status" else {}


def _detail(said: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> str:
    """The server's message, with the causes that it does not mention itself. Anything but text and a Status is left out."""
    if not said:
        is_text = headers.get("Content-Type", "").startswith("text/plain")
        return body.decode(errors="replace").strip() if is_text else "the answer is no Status"
    detail = str(said.get("message") or "no message")
    for cause in (said.get("details") or {}).get("causes") or ():
        where, what = cause.get("field"), cause.get("message")
        if where and where not in detail:
            detail += f"; {where}: {what}"
    return detail


def _code(status: int, reason: str, detail: str, details: Mapping[str, Any]) -> CallCode:
    if status == _FORBIDDEN:
        return _forbidden(detail, details)
    if reason == "AlreadyExists":
        return CallCode.EXISTS
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if status < _SERVER_FAULT or _REFUSED_SCHEMA in detail:
        return CallCode.INVALID
    return CallCode.UNAVAILABLE


def _forbidden(detail: str, details: Mapping[str, Any]) -> CallCode:
    is_leaving = any(cause.get("reason") == "NamespaceTerminating" for cause in details.get("causes") or ())
    if is_leaving or _NOT_YET in detail:
        return CallCode.WAITING
    if "exceeded quota" in detail:
        return CallCode.QUOTA
    return CallCode.INVALID if _REFUSED_CONTENT.search(detail) else CallCode.DENIED


def _seconds(header: str | None, said: int | None) -> float | None:
    """Of a Retry-After header, or of the Status itself; the form with a date is not used by Kubernetes."""
    if header is not None and header.isdecimal():
        return float(header)
    return float(said) if said else None
