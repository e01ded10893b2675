"""What the audit log is told of calls: who asked for what, about what, and how it ended. Never a message."""

from collections.abc import Mapping
from functools import lru_cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from grpclib.protocol import Stream as WireStream

from agentd.core import AuditKind, AuditLog, Runtime, TransientError
from agentd.telemetry import get_logger
from proxy.limits import Message
from proxy.routes import UNKNOWN
from proxy.table import Call, caller_of

log = get_logger("proxy")

_NAMES = frozenset({"name", "subject", "environment", "project", "namespace"})
_ENDINGS = ("_id", "_ids", "_name", "_names", "_uuid")
_MOST_IN_A_LIST = 20
_MOST_CHARACTERS = 200


class CallAudit:
    """Tells the log of each call.

    One that may change something is told of, durably, before its service has the request; a stream when it begins. Every
    call is told of when it has ended.
    """

    def __init__(self, audit: AuditLog, runtime: Runtime) -> None:
        self._audit = audit
        self._runtime = runtime

    async def begun(self, call: Call, request: Message) -> None:
        """The request has come. TransientError: the log cannot take it, so the call must not go on."""
        call.about = _about(request)
        if call.method.mutating or call.method.streaming:
            self._audit.append(AuditKind.PROXY_CALL, **_facts(call, "begun"))
        if call.method.mutating:
            await self._audit.flush()

    def ended(self, call: Call) -> None:
        """The call has ended, and its caller knows how, or has gone."""
        ending = {
            "status": call.status.name,
            "reason": call.reason,
            "duration_s": round(self._runtime.monotonic() - call.started, 6),
        }
        self._tell({**_facts(call, "ended"), **ending})

    def malformed(self, wire: WireStream, why: str) -> None:
        """A request was no gRPC call at all."""
        caller = caller_of(wire.connection.get_peer())
        self._tell({"service": UNKNOWN.service, "method": UNKNOWN.name, "caller": caller, "reason": why})

    def _tell(self, facts: Mapping[str, object]) -> None:
        """What has happened cannot be taken back: when the log is full its line is the ordinary log's alone."""
        try:
            self._audit.append(AuditKind.PROXY_CALL, **facts)
        except TransientError as error:
            log.error("call.not_audited", error=error.message, **facts)  # noqa: TRY400 - its trace tells nothing


def _facts(call: Call, phase: str) -> Mapping[str, object]:
    return {
        **call.about,
        "service": call.method.service,
        "method": call.method.name,
        "phase": phase,
        "caller": call.caller,
        "request_id": call.request_id,
    }


def _about(request: Message) -> Mapping[str, object]:
    """Ids and names in the request: what the call is about."""
    found = {name: _short(getattr(request, name)) for name in _fields(request.DESCRIPTOR)}
    return {name: value for name, value in found.items() if value}


@lru_cache(maxsize=256)
def _fields(message: Descriptor) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in message.fields
        if field.type == FieldDescriptor.TYPE_STRING and (field.name in _NAMES or field.name.endswith(_ENDINGS))
    )


def _short(value: Message) -> str | list[str]:
    if isinstance(value, str):
        return value[:_MOST_CHARACTERS]
    return [one[:_MOST_CHARACTERS] for one in value[:_MOST_IN_A_LIST]]
