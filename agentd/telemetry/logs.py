"""Structured logs: events with a closed set of keys, bound by context, secrets redacted.

One pipeline for the agent's own lines and for those that libraries write through the standard library: time, level,
event, room, bound keys; exceptions as text; everything bounded and redacted last, right before it is rendered.
"""

import logging
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from sys import exc_info as current_exception
from types import MappingProxyType, TracebackType
from typing import TextIO, cast
from weakref import WeakSet

import structlog
from pydantic_core import to_json
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from agentd.telemetry.config import TelemetryConfig
from agentd.telemetry.redact import MOST_CHARACTERS, harmless, redact_text, redact_value
from agentd.telemetry.tracing import trace_id

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_MOST_TRACEBACK = 4 * MOST_CHARACTERS
# Control characters drive terminals; only a line break and a tab are text.
_CONTROLS = {code: "?" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_LOGGERS: WeakSet[FilteringBoundLogger] = WeakSet()
# What every line of the current task carries. One variable for all keys: it is set for every event.
_bound: ContextVar[Mapping[str, object]] = ContextVar("log keys", default=MappingProxyType({}))


def get_logger(room: str) -> FilteringBoundLogger:
    """A logger whose lines carry the room's name. Log events, not sentences: `log.info("delivery.done", ...)`."""
    logger: FilteringBoundLogger = structlog.get_logger(room=room)
    _LOGGERS.add(logger)
    return logger


def configure_logs(config: TelemetryConfig, stream: TextIO) -> None:
    """Send every log line of the process to the stream, the standard library's and warnings included.

    May be called again; the last call holds. A stream that cannot be written to loses lines, and never fails a caller.
    """
    console = config.log_format == "console" or (config.log_format == "auto" and stream.isatty())
    lines = _Lines(stream)
    ending = _ending(console=console, colors=stream.isatty())
    structlog.configure(
        processors=[_all_keys, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[config.log_level]),
        logger_factory=lambda *_names: lines,
        cache_logger_on_first_use=True,
    )
    for logger in _LOGGERS:
        # What a logger cached on its first use under an earlier configuration.
        vars(logger).pop("bind", None)
    _route_standard_library(config, lines, ending)


_log = get_logger("telemetry")


class _Bound(AbstractContextManager[None]):
    """Every line within carries these keys too; None leaves a key as it is."""

    def __init__(self, keys: Mapping[str, str | int | None]) -> None:
        self._keys = keys

    def __enter__(self) -> None:
        own = {key: value for key, value in self._keys.items() if value is not None}
        self._token = _bound.set({**_bound.get(), **own})

    def __exit__(self, *_error: object) -> None:
        _bound.reset(self._token)


def bind_event(
    *,
    event_id: str | None = None,
    subject: str | None = None,
    type: str | None = None,  # noqa: A002 - the CloudEvents attribute's own name
    traceparent: str | None = None,
    epoch: int | None = None,
    attempt: int | None = None,
) -> AbstractContextManager[None]:
    """Every line within carries these keys, and of `traceparent` the trace's id as `trace_id`; None leaves a key as it is."""
    return _Bound(
        {
            "event_id": event_id,
            "subject": subject,
            "type": type,
            "trace_id": trace_id(traceparent),
            "epoch": epoch,
            "attempt": attempt,
        }
    )


def bind_call(*, request_id: str, traceparent: str | None = None) -> AbstractContextManager[None]:
    """Every line within carries the id of the request, and the trace's id as `trace_id` if there is one."""
    return _Bound({"request_id": request_id, "trace_id": trace_id(traceparent)})


class _Lines:
    """Writes lines to the stream, whole ones, from any thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # The reader of the log has gone (a broken pipe, a closed stream); the daemon's work goes on.
                return

    debug = info = warning = error = critical = exception = fatal = warn = log = msg


class _StandardHandler(logging.Handler):
    """Takes what libraries log."""

    def __init__(self, lines: _Lines, formatter: logging.Formatter) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # a library's own mistake, such as arguments that do not fit its message
            _log.warning("log.unreadable", library=record.name, template=str(record.msg), exc_info=error)
            return
        self._lines.msg(line)


def _route_standard_library(config: TelemetryConfig, lines: _Lines, ending: list[Processor]) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_logger_name, structlog.stdlib.ExtraAdder(), _all_keys],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        use_get_message=True,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _StandardHandler)]:
        root.removeHandler(handler)
    root.addHandler(_StandardHandler(lines, formatter))
    root.setLevel(_LEVELS[config.library_log_level])
    logging.captureWarnings(True)


def _ending(*, console: bool, colors: bool) -> list[Processor]:
    return [_exception, _redact, _stamp, *(_console(colors=colors) if console else [_json])]


def _all_keys(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What happened and where, what is bound, and the line's own keys."""
    return {"event": str(event.pop("event", "")), "room": event.pop("room"), **_bound.get(), **event}


def _logger_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    event["room"] = record.name if isinstance(record, logging.LogRecord) else "library"
    return event


def _exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """`exc_info` becomes `exception_type` and `exception`, the traceback as text; local variables are left out."""
    if "exc_info" in event and (info := _exc_info(event.pop("exc_info"))) is not None:
        event["exception_type"] = info[0].__name__
        event["exception"] = "".join(traceback.format_exception(*info)).rstrip()
    return event


def _exc_info(given: object) -> ExcInfo | None:
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if isinstance(given, tuple):
        return cast("ExcInfo", given) if given[0] is not None else None
    current = current_exception() if given else (None, None, None)
    return cast("ExcInfo", current) if current[0] is not None else None


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Every value plain, bounded and without secrets."""
    if harmless(event):
        return event
    redacted = {key: redact_value(key, value) for key, value in event.items() if key != "exception"}
    if "exception" in event:
        redacted["exception"] = _redact_traceback(event["exception"])
    return redacted


def _stamp(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    second, fraction = divmod(time.time(), 1)
    return {"time": f"{_second(int(second))}.{int(fraction * 1e6):06d}Z", "level": method, **event}


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6]


def _redact_traceback(value: object) -> str:
    """The end of a traceback says what happened, so what is too long loses its middle."""
    text = str(value)
    if len(text) <= _MOST_TRACEBACK:
        return redact_text(text, most=_MOST_TRACEBACK)
    # Each end is redacted with a margin, so that no secret is cut in two before it is recognised.
    half = _MOST_TRACEBACK // 2
    begin = redact_text(text[: 2 * half], most=2 * half)[:half]
    end = redact_text(text[-2 * half :], most=2 * half)[-half:]
    return f"{begin}\n... [{len(text)} characters] ...\n{end}"


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return to_json(event, ensure_ascii=True).decode()


def _console(*, colors: bool) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors,
        timestamp_key="time",
        repr_native_str=True,
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [_printable, renderer]


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key in ("event", "room", "exception"):
        if key in event:
            event[key] = str(event[key]).translate(_CONTROLS).encode(errors="backslashreplace").decode()
    return event
