"""Every behaviour on every server and in a file, on standard queues and, where the kind has them, on FIFO queues."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from agentd.core import Runtime, system_runtime
from tests.conformance.queue.backends import AzureBackend, Backend, EmbeddedBackend, SqsBackend
from tests.conformance.queue.rig import Rig
from tests.conformance.queue.waivers import UNSTEADY, waiver
from tests.servers import SqsAdmin


@dataclass(frozen=True, slots=True)
class Place:
    """A server, or the file, and the type of its queues."""

    server: str
    kind: str

    def param(self) -> Any:  # pytest's own type is not public
        """As a parameter of a fixture."""
        marks = pytest.mark.slow if self.server in ("moto", "fauxqs", "azurite") else ()
        return pytest.param(self, id=f"{self.server}-{self.kind}", marks=marks)


STANDARD: Sequence[Any] = [
    Place(server, "standard").param() for server in ("ministack", "moto", "fauxqs", "azurite", "embedded")
]
FIFO: Sequence[Any] = [Place(server, "fifo").param() for server in ("ministack", "moto", "fauxqs", "embedded")]


@pytest.fixture(scope="session", params=[*STANDARD, *FIFO])
def place(request: pytest.FixtureRequest) -> Place:
    """Each place in turn."""
    found: Place = request.param
    return found


@pytest.fixture(autouse=True)
def waive(request: pytest.FixtureRequest, place: Place) -> None:
    """A behaviour that the server is known to get wrong must fail, and for no other cause than its assertion."""
    if reason := waiver(place.server, place.kind, request.node.originalname):
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))
    if (place.server, request.node.originalname) in UNSTEADY:
        request.node.add_marker(pytest.mark.xfail(reason="hands messages out twice under load", strict=False))


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """The machine's clock and dice."""
    return system_runtime()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backend(
    request: pytest.FixtureRequest, place: Place, runtime: Runtime, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Backend]:
    """The owner's side of the place."""
    fifo = place.kind == "fifo"
    async with AsyncExitStack() as stack:
        match place.server:
            case "azurite":
                yield await stack.enter_async_context(AzureBackend.at(request.getfixturevalue("azurite")))
            case "embedded":
                yield EmbeddedBackend(tmp_path_factory.mktemp("queues"), fifo, runtime)
            case name:
                server = request.getfixturevalue(name)
                yield SqsBackend(server, await stack.enter_async_context(SqsAdmin.at(server)), fifo)


@pytest_asyncio.fixture(loop_scope="session")
async def rig(backend: Backend, runtime: Runtime) -> AsyncIterator[Rig]:
    """Opens queues, and closes them in the end."""
    async with Rig(backend, runtime, numbers=count(1)) as new:
        yield new
