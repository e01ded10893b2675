"""A request whose target and verb are known."""

import json
from dataclasses import dataclass

from aiohttp import web

from agentd.embedded.kube.objects import Json
from agentd.embedded.kube.serving.queries import read_call
from agentd.embedded.kube.serving.targets import Target
from agentd.embedded.kube.status import ApiError, bad_request
from agentd.embedded.kube.writes import Call, Patch, PatchType
from agentd.embedded.kube.writes.patching import check_apply_options, unsupported_media_type

_UNSUPPORTED_MEDIA_TYPE = 415
_READABLE = ("application/json", "application/octet-stream", "text/plain", "*/*")  # or nothing that says otherwise
_UNREADABLE = "the body of the request was in an unknown format - accepted media types include: application/json"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, with the request itself."""

    request: web.Request
    target: Target
    verb: str
    body: bytes

    def call(self) -> Call:
        """As a call for one object."""
        return read_call(self.target, self.request.query, self.request.headers.get("User-Agent", ""))

    def json(self) -> Json:
        """The body; None when there is none. ApiError 400, or 415 for what is not JSON."""
        if not self.body:
            return None
        if self.request.content_type not in _READABLE:
            raise ApiError(_UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", _UNREADABLE)
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error


def read_patch(asked: Asked) -> Patch:
    """The body as a patch. ApiError 415, or 422 for an apply by nobody."""
    content_type = asked.request.headers.get("Content-Type", "").partition(";")[0].strip()
    try:
        kind = PatchType(content_type)
    except ValueError as error:
        raise unsupported_media_type() from error
    if kind is PatchType.APPLY:
        check_apply_options(asked.request.query.get("fieldManager", ""))
    return Patch(kind, asked.body)
