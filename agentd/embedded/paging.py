"""Pages of ECR's listings: the emulator gives no nextToken, so it is asked for all and the answer is cut here. Pure.

Source: the ECR API reference: up to `maxResults` items (100 unless given) and a `nextToken` while there are more.
"""

import json
from types import MappingProxyType

from agentd.embedded.calls import Call

_LISTS = MappingProxyType({"DescribeRepositories": "repositories", "DescribeImages": "imageDetails"})
_PAGE = 100
_ALL = 10**9


class BadToken(ValueError):
    """A nextToken that no answer has given."""


def is_paged(call: Call) -> bool:
    """Whether AWS gives the operation's answer in pages."""
    return call.service == "ecr" and call.operation in _LISTS


def ask_for_all(request: bytes) -> bytes:
    """The same request, for one page without end."""
    asked = json.loads(request or b"{}")
    asked.pop("nextToken", None)
    return json.dumps({**asked, "maxResults": _ALL}).encode()


def cut(call: Call, request: bytes, answer: bytes) -> bytes:
    """The page that the request asks for. Raises BadToken."""
    asked = json.loads(request or b"{}")
    start = _offset(asked.get("nextToken"))
    document = json.loads(answer)
    items = document.get(_LISTS[call.operation])
    if items is None:  # an error
        return answer
    if start >= max(1, len(items)):
        raise BadToken(f"nextToken {start}: the listing has {len(items)} items")
    end = start + asked.get("maxResults", _PAGE)
    document[_LISTS[call.operation]] = items[start:end]
    if end < len(items):
        document["nextToken"] = str(end)
    return json.dumps(document).encode()


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isdecimal():
        raise BadToken(f"nextToken {token!r} was not given by this server")
    return int(token)
