"""How a Service in the cluster is reached: by its own name, or by way of the API server."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import ClientResponse


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """An HTTP request to a Service. `path` is percent-encoded; a `body` is sent as JSON."""

    namespace: str
    service: str
    port: int
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None  # its shape is the Service's own


class Route(Protocol):
    """One way to the Services of a cluster. It has no time-out of its own; redirects are not for it to follow."""

    @property
    def forwards_authorization(self) -> bool:
        """Whether a request's Authorization header reaches the Service."""
        ...

    def send(self, request: ServiceRequest) -> AbstractAsyncContextManager[ClientResponse]:
        """The answer, whatever its status, for the block. Raises aiohttp.ClientError, OSError, and what the way itself raises."""
        ...
