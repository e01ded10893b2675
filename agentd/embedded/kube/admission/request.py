"""What admission sees of a call."""

from typing import Protocol

from agentd.embedded.kube.kinds import Kind
from agentd.embedded.kube.status import ApiError, forbidden


class Request(Protocol):
    """A call that creates, changes or deletes an object."""

    kind: Kind
    namespace: str
    name: str
    subresource: str
    dry_run: bool
    warnings: list[str]


def refused(request: Request, name: str, why: str) -> ApiError:
    """403, as admission gives it."""
    return forbidden(request.kind.group, request.kind.plural, name, why)
