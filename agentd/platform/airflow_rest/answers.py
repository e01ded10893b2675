"""What is taken from answers of success: JSON of a known shape, and a log line by line. Neither more than fits."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import ClientResponse
from pydantic import TypeAdapter

from agentd.platform.airflow import LogLine, LogPage
from agentd.platform.airflow_rest.errors import TooLarge

T = TypeVar("T")
Take = Callable[[ClientResponse], Awaitable[T]]

_MOST_REFUSAL = 65_536
_SOURCES_BEGIN = "::group::Log message source details"
_SOURCES_END = "::endgroup::"


def is_success(response: ClientResponse) -> bool:
    """Whether it answers the question; a redirect does not."""
    return response.status < HTTPStatus.MULTIPLE_CHOICES


async def refusal(response: ClientResponse) -> bytes:
    """As much of an answer as is worth looking at."""
    return b"".join([chunk async for chunk in _first(response, _MOST_REFUSAL)])


def shaped(shape: TypeAdapter[T], most_bytes: int) -> Take[T]:
    """JSON of this shape. Raises ValueError for anything else: Airflow answers unknown paths with its own page."""

    async def take(response: ClientResponse) -> T:
        if response.content_type != "application/json":
            raise ValueError(f"{response.status} {response.content_type}: the prefix may be another one")
        body = b"".join([chunk async for chunk in _first(response, most_bytes + 1)])
        if len(body) > most_bytes:
            raise TooLarge(f"the answer has more than {most_bytes} bytes")
        return shape.validate_json(body)

    return take


def log_from(position: int, most_bytes: int) -> Take[LogPage]:
    """Lines from a position on, until they are too many. What precedes the log itself, where it is from, is left out."""

    async def take(response: ClientResponse) -> LogPage:
        lines: list[LogLine] = []
        at = taken = 0
        in_sources = False
        async for line in _lines(response, most_bytes):
            if 0 < at < position:
                at += 1
                continue
            found = _line(json.loads(line))
            if at == 0 and found.event == _SOURCES_BEGIN:
                in_sources = True
            elif in_sources:
                in_sources = found.event != _SOURCES_END
            else:
                taken += len(line) if at >= position else 0
                if taken > most_bytes and lines:
                    return LogPage(tuple(lines), at, cut=True)
                if at >= position:
                    lines.append(found)
                at += 1
        return LogPage(tuple(lines), max(at, position), cut=False)

    return take


def _line(found: Any) -> LogLine:  # noqa: ANN401 - what a task, or a library of its, has logged: anything
    if not isinstance(found, dict):
        return LogLine(str(found))
    return LogLine(
        event=str(found.get("event", "")),
        timestamp=_moment(found.get("timestamp")),
        level=_text(found.get("level")),
        logger=_text(found.get("logger")),
        error=_traceback(found.get("error_detail")),
    )


def _moment(found: Any) -> datetime | None:  # noqa: ANN401 - the same
    try:
        return datetime.fromisoformat(found) if isinstance(found, str) else None
    except ValueError:
        return None


def _text(found: Any) -> str | None:  # noqa: ANN401 - the same
    return found if isinstance(found, str) else None


def _traceback(detail: Any) -> str | None:  # noqa: ANN401 - the same; a list when it is as Airflow's task runner structures it
    """A list of exceptions, the last raised first, as Python shows them."""
    if not isinstance(detail, list):
        return None
    shown: list[str] = []
    for raised in reversed(detail):
        if not isinstance(raised, dict):
            continue
        frames = raised.get("frames")
        shown += [_frame(frame) for frame in (frames if isinstance(frames, list) else ())]
        shown.append(f"{raised.get('exc_type')}: {raised.get('exc_value')}")
    return "\n".join(shown) or None


def _frame(frame: Any) -> str:  # noqa: ANN401 - the same
    if not isinstance(frame, dict):
        return f"  {frame}"
    return f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}'


async def _lines(response: ClientResponse, most_bytes: int) -> AsyncIterator[bytes]:
    """Whole lines; one that is too long is more than fits."""
    rest = bytearray()
    async for chunk in response.content.iter_any():
        *whole, last = chunk.split(b"\n")
        for line in whole:
            yield bytes(rest) + line
            rest.clear()
        rest += last
        if len(rest) > most_bytes:
            raise TooLarge(f"a line of the log has more than {most_bytes} bytes")
    if rest:
        yield bytes(rest)


async def _first(response: ClientResponse, most_bytes: int) -> AsyncIterator[bytes]:
    left = most_bytes
    async for chunk in response.content.iter_any():
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return
