"""Log lines as they are written."""

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
import structlog

from agentd.telemetry import TelemetryConfig, bind_event, configure_logs, get_logger

# At module level, as every room has it: it must follow each later configuration.
log = get_logger("room")

Json = dict[str, Any]  # a log line
Format = Literal["auto", "json", "console"]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    configure_logs(TelemetryConfig(), io.StringIO())
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure_logs(TelemetryConfig(log_format="json"), stream)
    return stream


def _fail(error: Exception) -> None:
    raise error


def _lines(stream: io.StringIO) -> list[Json]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object(stream: io.StringIO) -> None:
    log.info("delivery.done", duration_s=1.5, objects=("a", "b"), nothing=None)
    (line,) = _lines(stream)
    time = datetime.fromisoformat(line.pop("time"))
    assert time.utcoffset() == timedelta(0)
    assert line == {
        "level": "info",
        "event": "delivery.done",
        "room": "room",
        "duration_s": 1.5,
        "objects": ["a", "b"],
        "nothing": None,
    }
    assert list(_lines(stream)[0])[:4] == ["time", "level", "event", "room"]


def test_bound_keys_are_on_every_line_within(stream: io.StringIO) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with bind_event(event_id="e1", subject="project/1", type="t", traceparent=f"00-{trace_id}-b7ad6b7169203331-01"):
        log.info("one")
        with bind_event(epoch=1, attempt=2):
            log.info("two")
        logging.getLogger("lib").warning("three")
    log.info("four")
    one, two, three, four = _lines(stream)
    assert (one["event_id"], one["subject"], one["type"], one["trace_id"]) == ("e1", "project/1", "t", trace_id)
    assert (two["event_id"], two["epoch"], two["attempt"]) == ("e1", 1, 2)
    assert three["event_id"] == "e1"
    assert "epoch" not in three
    assert not {"event_id", "subject", "type", "trace_id"} & four.keys()


def test_keys_are_unbound_when_the_event_fails(stream: io.StringIO) -> None:
    with pytest.raises(ValueError, match="no"), bind_event(event_id="e1"):
        raise ValueError("no")
    log.info("after")
    assert "event_id" not in _lines(stream)[0]


async def test_events_side_by_side_keep_their_own_keys(stream: io.StringIO) -> None:
    met = asyncio.Barrier(2)

    async def work(event_id: str) -> None:
        with bind_event(event_id=event_id):
            await met.wait()
            log.info("at.work", own=event_id)

    async with asyncio.TaskGroup() as group:
        group.create_task(work("e1"))
        group.create_task(work("e2"))
    assert sorted(line["own"] for line in _lines(stream)) == ["e1", "e2"]
    assert all(line["own"] == line["event_id"] for line in _lines(stream))


def test_exceptions_are_text_without_secrets_or_locals(stream: io.StringIO) -> None:
    hidden_local = "only-in-a-local"
    try:
        _fail(RuntimeError(f"login failed: password=hunter2 {hidden_local[:0]}"))
    except RuntimeError:
        log.exception("call.failed")
    (line,) = _lines(stream)
    assert line["exception_type"] == "RuntimeError"
    assert "only-in-a-local" not in stream.getvalue()
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert "test_exceptions_are_text" in line["exception"]
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_an_exception_may_be_given_and_none_is_no_error(stream: io.StringIO) -> None:
    log.error("given", exc_info=ValueError("x"))
    log.error("none", exc_info=True)  # noqa: LOG014 - a mistake that must not break the line
    given, none = _lines(stream)
    assert given["exception"] == "ValueError: x"
    assert "exception" not in none


def test_a_long_traceback_keeps_its_end(stream: io.StringIO) -> None:
    log.error("long", exc_info=ValueError("start " + "x y " * 30_000 + "the end"))
    (line,) = _lines(stream)
    assert len(line["exception"]) < 17_000
    assert line["exception"].endswith("the end")


def test_secrets_never_reach_the_stream(stream: io.StringIO) -> None:
    log.info("e", password="hunter2", headers={"Authorization": "hunter2"}, url="https://u:hunter2@h/")  # noqa: S106 - an example
    log.info("bearer hunter2hunter2")
    logging.getLogger("lib").error("login with token=%s", "hunter2", extra={"secret": "hunter2"})
    assert "hunter2" not in stream.getvalue()
    assert len(_lines(stream)) == 3


def test_values_are_bounded(stream: io.StringIO) -> None:
    log.info("e", body="x y" * 100_000)
    assert len(stream.getvalue()) < 5000


def test_what_is_no_json_does_not_break_the_line(stream: io.StringIO) -> None:
    log.info("e", a=float("inf"), b="\ud800\n\x1b[31m", c=b"\xff", d=object)
    (line,) = _lines(stream)
    assert line["a"] == "inf"
    assert stream.getvalue().isascii()


def test_libraries_go_through_the_same_pipeline(stream: io.StringIO) -> None:
    logger = logging.getLogger("aiobotocore.x")
    logger.info("not told")
    logger.warning("retry %d of %s", 1, "SQS", extra={"attempt": 1})
    try:
        _fail(OSError("gone"))
    except OSError:
        logger.exception("failed")
    first, second = _lines(stream)
    assert (first["level"], first["event"], first["room"], first["attempt"]) == (
        "warning",
        "retry 1 of SQS",
        "aiobotocore.x",
        1,
    )
    assert first["time"].endswith("Z")
    assert second["exception_type"] == "OSError"


def test_warnings_are_lines(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    assert _lines(stream)[0]["room"] == "py.warnings"


def test_a_librarys_own_mistake_is_told_and_not_the_callers(stream: io.StringIO) -> None:
    root = logging.getLogger()
    # pytest has handlers of its own, and those raise.
    root.handlers[:] = [handler for handler in root.handlers if not type(handler).__module__.startswith("_pytest")]
    logging.getLogger("lib").error("%d items", "no number")
    (line,) = _lines(stream)
    assert (line["event"], line["library"], line["template"]) == ("log.unreadable", "lib", "%d items")
    assert line["exception_type"] == "TypeError"


@pytest.mark.parametrize(("level", "told"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_levels(level: Literal["debug", "info", "warning", "error"], told: int) -> None:
    stream = io.StringIO()
    configure_logs(TelemetryConfig(log_format="json", log_level=level), stream)
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert len(_lines(stream)) == told


def test_a_later_configuration_holds_for_loggers_in_use(stream: io.StringIO) -> None:
    log.info("first")
    second = io.StringIO()
    configure_logs(TelemetryConfig(log_format="json", log_level="debug"), second)
    log.debug("second")
    logging.getLogger("lib").error("third")
    assert [line["event"] for line in _lines(stream)] == ["first"]
    assert [line["event"] for line in _lines(second)] == ["second", "third"]


@pytest.mark.parametrize(
    ("log_format", "terminal", "is_json"),
    [("auto", False, True), ("auto", True, False), ("json", True, True), ("console", False, False)],
)
def test_formats(log_format: Format, terminal: bool, is_json: bool) -> None:
    stream = _Terminal() if terminal else io.StringIO()
    configure_logs(TelemetryConfig(log_format=log_format), stream)
    log.info("delivery.done", queue="commands")
    text = stream.getvalue()
    assert text.startswith("{") == is_json
    assert ("\x1b[" in text) == (terminal and not is_json)
    assert "delivery.done" in text
    assert "commands" in text


def test_nothing_that_was_logged_drives_the_terminal() -> None:
    stream = io.StringIO()
    configure_logs(TelemetryConfig(log_format="console"), stream)
    log.info("a\x1b[2J", value="b\x1b[2J\u009b", lone="\ud800")
    logging.getLogger("lib").error("c\x1b[2J")
    try:
        _fail(ValueError("d\x1b[2J"))
    except ValueError:
        log.exception("e")
    assert "\x1b" not in stream.getvalue()
    assert "\u009b" not in stream.getvalue()


def test_a_stream_that_has_gone_fails_nobody(stream: io.StringIO) -> None:
    stream.close()
    log.info("nobody hears this")
    logging.getLogger("lib").error("nor this")
