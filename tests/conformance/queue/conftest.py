"""Every behaviour on every server, on a standard and on a FIFO queue."""

from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from agentd.core import Runtime, system_runtime
from tests.conformance.queue.rig import Rig
from tests.conformance.queue.waivers import waiver
from tests.servers import AwsServer, SqsAdmin

_SERVERS = ["ministack", "moto", pytest.param("fauxqs", marks=pytest.mark.slow)]


# These wait for a visibility to run out, on the server's clock. One server is enough for every run.
_TAKES_SECONDS = frozenset(
    {
        "test_cancelled_poll_delays_a_message_but_does_not_lose_it",
        "test_delay_hides_a_new_message",
        "test_extended_message_stays_hidden",
        "test_fraction_of_a_second_hides_for_a_whole_one",
        "test_late_delete_is_an_error",
        "test_visibility_runs_out",
    }
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes seconds to the slow suite, but on ministack."""
    for item in items:
        if isinstance(item, pytest.Function) and item.originalname in _TAKES_SECONDS:
            callspec = getattr(item, "callspec", None)
            if callspec is not None and callspec.params.get("server") == "moto":
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", params=_SERVERS)
def server(request: pytest.FixtureRequest) -> AwsServer:
    """Each server in turn."""
    running: AwsServer = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="session", params=["standard", "fifo"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of queue in turn."""
    return str(request.param)


@pytest.fixture(autouse=True)
def waive(request: pytest.FixtureRequest, server: AwsServer, kind: str) -> None:
    """A behaviour that the server is known to get wrong must fail, and for no other cause than its assertion."""
    behaviour = request.node.originalname
    if reason := waiver(server.name, kind, behaviour):
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def admin(server: AwsServer) -> AsyncIterator[SqsAdmin]:
    """The account's owner on that server."""
    async with SqsAdmin.at(server) as owner:
        yield owner


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """The machine's clock and dice."""
    return system_runtime()


@pytest_asyncio.fixture(loop_scope="session")
async def rig(server: AwsServer, kind: str, admin: SqsAdmin, runtime: Runtime) -> AsyncIterator[Rig]:
    """A new queue, open, and what is needed to use it."""
    async with Rig(server, admin, runtime, fifo=kind == "fifo", numbers=count(1)) as new:
        yield new
