"""Errors as callers get them: a gRPC status with details of google.rpc.

What a caller sees of an error is a status, a sentence, and an ErrorInfo whose reason a program can compare. An error that
nobody has foreseen is INTERNAL, and the log alone has the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from agentd.core import (
    AgentError,
    LeaseLost,
    NotReady,
    PolicyRefused,
    Preempted,
    Reason,
    TransientError,
)
from agentd.platform import keys
from agentd.telemetry import redact_text

DOMAIN = keys.PREFIX
"""Whose reasons they are."""

# Trailers have to fit in the 8 KiB that callers' libraries take, and the sentence is in them twice.
_MOST_TEXT_BYTES = 1536
_MOST_VIOLATIONS = 10
_MOST_VIOLATION_CHARACTERS = 120
_RETRY_S = 1.0

_STATUS_OF_REASON: Mapping[Reason, Status] = {
    Reason.MALFORMED: Status.INVALID_ARGUMENT,
    Reason.UNKNOWN_TYPE: Status.INVALID_ARGUMENT,
    Reason.UNSUPPORTED: Status.UNIMPLEMENTED,
    Reason.CONFLICT: Status.ABORTED,
    Reason.IMAGE_MISSING: Status.NOT_FOUND,
    Reason.DELETED: Status.NOT_FOUND,
    Reason.NAME_TAKEN: Status.ALREADY_EXISTS,
    Reason.QUOTA_EXCEEDED: Status.RESOURCE_EXHAUSTED,
    Reason.INTERNAL_ERROR: Status.INTERNAL,
}


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field of a request."""

    field: str
    description: str


class Refusal(StrEnum):
    """Why the proxy itself ends a call: its own reasons, a closed set, each with its status."""

    status: Status

    def __new__(cls, value: str, status: Status) -> "Refusal":  # noqa: PYI034 - an enum's members are not subclasses
        member = str.__new__(cls, value)
        member._value_ = value
        member.status = status
        return member

    INVALID_ARGUMENT = "INVALID_ARGUMENT", Status.INVALID_ARGUMENT
    ENVIRONMENT_NOT_FOUND = "ENVIRONMENT_NOT_FOUND", Status.NOT_FOUND
    NO_CLUSTER = "NO_CLUSTER", Status.FAILED_PRECONDITION
    DRAINING = "DRAINING", Status.UNAVAILABLE
    TOO_MANY_CALLS = "TOO_MANY_CALLS", Status.RESOURCE_EXHAUSTED
    TOO_MANY_STREAMS = "TOO_MANY_STREAMS", Status.RESOURCE_EXHAUSTED
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE", Status.RESOURCE_EXHAUSTED
    MALFORMED_MESSAGE = "MALFORMED_MESSAGE", Status.INVALID_ARGUMENT
    MALFORMED_TIMEOUT = "MALFORMED_TIMEOUT", Status.INVALID_ARGUMENT
    COMPRESSION_UNSUPPORTED = "COMPRESSION_UNSUPPORTED", Status.UNIMPLEMENTED
    SENDER_TOO_SLOW = "SENDER_TOO_SLOW", Status.ABORTED
    READER_TOO_SLOW = "READER_TOO_SLOW", Status.ABORTED
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED", Status.DEADLINE_EXCEEDED
    UNKNOWN_METHOD = "UNKNOWN_METHOD", Status.UNIMPLEMENTED
    INTERNAL_ERROR = "INTERNAL_ERROR", Status.INTERNAL


class CallError(Exception):
    """The end of a call that is no answer. `reason` is upper case with underscores; `retry_after_s` when repeating helps."""

    def __init__(
        self,
        status: Status,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.metadata = metadata or {}
        self.violations = violations
        self.retry_after_s = retry_after_s


def refused(
    refusal: Refusal,
    message: str,
    *,
    metadata: Mapping[str, str] | None = None,
    violations: Sequence[Violation] = (),
    retry_after_s: float | None = None,
) -> CallError:
    """The proxy's own end of a call."""
    return CallError(
        refusal.status,
        refusal.value,
        message,
        metadata=metadata,
        violations=violations,
        retry_after_s=retry_after_s,
    )


def as_call_error(error: Exception) -> CallError | None:
    """What a caller is told of an error; None for one that nobody has foreseen."""
    while isinstance(error, ExceptionGroup):
        # Parts of one call that ran side by side: the first that failed made the others stop.
        error = error.exceptions[0]
    if isinstance(error, CallError):
        return error
    if isinstance(error, AgentError):
        return _of_agent_error(error)
    if isinstance(error, GRPCError):
        return CallError(error.status, error.status.name, error.message or error.status.name)
    return None


def internal() -> CallError:
    """What a caller is told of an error that nobody has foreseen."""
    return refused(Refusal.INTERNAL_ERROR, "a defect in the agent; its log has more under this request's id")


def text(message: str) -> str:
    """The message as it may leave: without secrets, and cut to what fits into trailers."""
    shown = redact_text(message)
    encoded = shown.encode(errors="replace")
    if len(encoded) <= _MOST_TEXT_BYTES:
        return shown
    return encoded[:_MOST_TEXT_BYTES].decode(errors="ignore") + "..."


def details(error: CallError, request_id: str) -> list[Message]:
    """The details of google.rpc that go with the error."""
    found: list[Message] = [
        ErrorInfo(
            reason=error.reason, domain=DOMAIN, metadata={key: text(error.metadata[key]) for key in error.metadata}
        )
    ]
    if error.violations:
        found.append(
            BadRequest(
                field_violations=[
                    BadRequest.FieldViolation(field=one.field, description=one.description[:_MOST_VIOLATION_CHARACTERS])
                    for one in error.violations[:_MOST_VIOLATIONS]
                ]
            )
        )
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after_s * 1000))
        found.append(RetryInfo(retry_delay=delay))
    found.append(RequestInfo(request_id=request_id))
    return found


def _of_agent_error(error: AgentError) -> CallError:
    metadata = {"rule": error.rule} if isinstance(error, PolicyRefused) else {}
    return CallError(
        _status(error),
        error.reason.value.upper(),
        error.message,
        metadata=metadata,
        retry_after_s=_retry_after_s(error),
    )


def _status(error: AgentError) -> Status:
    match error:
        case TransientError() | NotReady():
            return Status.UNAVAILABLE
        case LeaseLost() | Preempted():
            return Status.ABORTED
        case PolicyRefused():
            return Status.PERMISSION_DENIED
        case _:
            # The agent's own rights, the cloud's refusals: the caller cannot mend its request, an operator mends the rest.
            return _STATUS_OF_REASON.get(error.reason, Status.FAILED_PRECONDITION)


def _retry_after_s(error: AgentError) -> float | None:
    if isinstance(error, TransientError | NotReady):
        return _RETRY_S if error.retry_after is None else error.retry_after
    return None
