"""Traces. Without an OTLP endpoint nothing is recorded, and an event's own trace is still carried on to its reports.

The closed set of attribute keys is `SpanAttributes`: a search in the tracing system then finds what it looks for.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TypedDict, Unpack

from agentd.telemetry.config import TelemetryConfig

# W3C trace context; later versions begin the same way. Version ff and ids of noughts alone are invalid.
_TRACEPARENT = re.compile(r"^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}$")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)

# Begins a span under a parent's traceparent and gives the span's own.
Begin = Callable[[str, str | None, Mapping[str, str | int]], AbstractContextManager[str | None]]


class TracingUnavailable(RuntimeError):
    """An endpoint is set, and the libraries that it needs are not installed."""


class SpanAttributes(TypedDict, total=False):
    """What a span may say of itself; None is left out."""

    event_id: str | None
    type: str | None
    subject: str | None
    generation: int | None
    epoch: int | None
    attempt: int | None
    step: str | None
    outcome: str | None
    reason: str | None
    queue: str | None
    port: str | None
    operation: str | None
    code: str | None


def trace_id(traceparent: str | None) -> str | None:
    """The trace's id, or None unless the traceparent is valid."""
    match = _TRACEPARENT.match(traceparent) if traceparent else None
    return match[1] if match else None


def current_traceparent() -> str | None:
    """The traceparent to send on: the current span's, or the event's own when nothing is recorded."""
    return _current.get()


_ATTRIBUTES = SpanAttributes.__annotations__.keys()


class Tracing:
    """Begins spans. Raises TracingUnavailable when an endpoint is set without the otel extra."""

    def __init__(self, config: TelemetryConfig, *, version: str, replica: str) -> None:
        self._begin: Begin | None = None
        self._end: Callable[[float], None] = lambda _timeout_s: None
        if config.otlp_endpoint is not None:
            self._begin, self._end = _recorder(config, version=version, replica=replica)

    def span(
        self, name: str, *, traceparent: str | None = None, **attributes: Unpack[SpanAttributes]
    ) -> AbstractContextManager[None]:
        """A span under `traceparent`, or under the current one when there is none, or of its own trace.

        An exception marks the span with its class and goes on; its message is left out, as it may hold anything.
        TypeError on a key that is not of the closed set.
        """
        if not attributes.keys() <= _ATTRIBUTES:
            unknown = ", ".join(sorted(attributes.keys() - _ATTRIBUTES))
            raise TypeError(f"span {name!r}: unknown attributes {unknown}")
        parent = traceparent if trace_id(traceparent) else current_traceparent()
        if self._begin is None:
            return _Carried(parent)
        known = {key: value for key, value in attributes.items() if isinstance(value, str | int)}
        return _recorded(self._begin(name, parent, known))

    def shutdown(self, timeout_s: float = 3.0) -> None:
        """Export what has ended. Blocks, for at most `timeout_s`: call it when the work is over. Spans may follow, unrecorded."""
        self._end(timeout_s)
        self._begin, self._end = None, lambda _timeout_s: None


class _Carried:
    """A block under a trace that nothing is recorded of."""

    __slots__ = ("_parent", "_token")

    def __init__(self, parent: str | None) -> None:
        self._parent = parent

    def __enter__(self) -> None:
        self._token = _current.set(self._parent)

    def __exit__(self, *_error: object) -> None:
        _current.reset(self._token)


@contextmanager
def _recorded(span: AbstractContextManager[str | None]) -> Iterator[None]:
    with span as own, _Carried(own):
        yield


def _recorder(config: TelemetryConfig, *, version: str, replica: str) -> tuple[Begin, Callable[[float], None]]:
    try:
        from agentd.telemetry.otlp import Recorder
    except ModuleNotFoundError as error:
        raise TracingUnavailable(
            f"telemetry.otlp_endpoint: found {config.otlp_endpoint!r}, but {error.name} is not installed; "
            "install agentd[otel], or leave the setting out"
        ) from error
    recorder = Recorder(config, version=version, replica=replica)
    return recorder.span, recorder.shutdown
