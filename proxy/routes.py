"""Which calls there are."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from grpclib.const import Cardinality, Handler
from grpclib.server import Stream

from proxy.errors import Refusal, refused

_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_REFLECTION = "grpc.reflection."
_QUIET = ("grpc.health.", _REFLECTION)
# Streams that do not end by themselves: nothing is gained by waiting for them.
_ENDLESS = frozenset({"/conveyor.proxy.v1.Environments/Watch", "/grpc.health.v1.Health/Watch"})
# How names of calls begin that only read. One that is not among them is taken to change something.
_READS = (
    *("Get", "List", "Watch", "Explain", "Check", "Describe", "Read", "Search", "Stream", "Tail", "Follow"),
    "ServerReflectionInfo",
)


class Servable(Protocol):
    """A service, as grpclib generates its base class."""

    def __mapping__(self) -> Mapping[str, Handler]:
        """Its calls by path."""
        ...


@dataclass(frozen=True, slots=True)
class Method:
    """One call that can be made. `service` and `name` are labels, so from a closed set."""

    service: str
    name: str
    handler: Handler

    @property
    def streaming(self) -> bool:
        """Whether either side sends a stream."""
        cardinality = self.handler.cardinality
        return bool(cardinality.client_streaming or cardinality.server_streaming)

    @property
    def endless(self) -> bool:
        """Whether it lasts until somebody ends it."""
        return self.path in _ENDLESS or self.service.startswith(_REFLECTION)

    @property
    def mutating(self) -> bool:
        """Whether it may change something: every call whose name is not one that reads begin with."""
        return not self.name.startswith(_READS)

    @property
    def counted(self) -> bool:
        """Whether it takes a slot, and is refused while the daemon drains. A probe has to be answered then as well."""
        return self.path != _HEALTH_CHECK

    @property
    def quiet(self) -> bool:
        """Whether it is made so often, by probes and tools, that it is logged for debugging alone."""
        return self.service.startswith(_QUIET)

    @property
    def path(self) -> str:
        """As the request's headers have it."""
        return f"/{self.service}/{self.name}"


async def _unknown(_stream: Stream[Any, Any]) -> None:
    raise refused(Refusal.UNKNOWN_METHOD, "there is no such call in this version; server reflection lists them")


UNKNOWN = Method("unknown", "unknown", Handler(_unknown, Cardinality.UNARY_UNARY, None, None))
"""Whatever is asked for that there is not."""


def routes(services: Collection[Servable]) -> Mapping[str, Method]:
    """Every call of the services, by path."""
    found: dict[str, Method] = {}
    for service in services:
        for path, handler in service.__mapping__().items():
            _, full_name, name = path.split("/")
            found[path] = Method(full_name, name, handler)
    return found
