"""Answers to requests: JSON, errors as Status, warnings as headers."""

from collections.abc import Sequence

from aiohttp import web

from agentd.embedded.kube.encoding import dump
from agentd.embedded.kube.objects import Json
from agentd.embedded.kube.status import ApiError

JSON = "application/json"


def answer(body: bytes, status: int = 200, warnings: Sequence[str] = ()) -> web.Response:
    """JSON that is encoded already."""
    response = web.Response(body=body, status=status, content_type=JSON)
    for warning in warnings:
        response.headers.add("Warning", f'299 - "{_quoted(warning)}"')
    return response


def document(value: Json, status: int = 200, warnings: Sequence[str] = ()) -> web.Response:
    """JSON."""
    return answer(dump(value), status, warnings)


def failure(error: ApiError, warnings: Sequence[str] = ()) -> web.Response:
    """A Status."""
    response = document(error.status(), error.code, warnings)
    if error.details is not None and error.details.retry_after_s:
        response.headers["Retry-After"] = str(error.details.retry_after_s)
    return response


def hang_up(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=500)  # written to nobody: the connection is closed


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
