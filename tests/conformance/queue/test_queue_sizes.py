"""Where a server counts bytes by itself: it counts as the adapter does."""

from dataclasses import replace

import pytest

from agentd.bus import Done, EntryRefused, Outgoing, Queue
from agentd.bus.azure import AzureQueue
from agentd.bus.sqs import SqsQueue
from agentd.core import PermanentError
from tests.conformance.queue.backends import Wanted
from tests.conformance.queue.conftest import Place
from tests.conformance.queue.rig import Rig

_SERVERS = [Place(server, "standard").param() for server in ("ministack", "moto", "fauxqs", "azurite")]

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("place", _SERVERS, indirect=True, scope="session"),
]


def _without_a_limit(queue: Queue) -> Queue:
    """The server is the one to refuse."""
    assert isinstance(queue, SqsQueue | AzureQueue)
    queue._limits = replace(queue.limits, max_message_bytes=10_000_000)
    return queue


async def _takes(rig: Rig, message: Outgoing, *, over: int) -> bool:
    queue = await rig.queue(Wanted(max_message_bytes=2048))
    filled = rig.filled(queue, message, over=over)
    try:
        (result,) = await _without_a_limit(queue).send([filled])
    except PermanentError:
        return False  # some servers refuse the whole call
    assert isinstance(result, Done | EntryRefused)
    return isinstance(result, Done)


async def test_server_counts_a_body_as_we_do(rig: Rig) -> None:
    assert await _takes(rig, rig.message(), over=0)
    assert not await _takes(rig, rig.message(), over=1)


async def test_server_counts_attributes_as_we_do(rig: Rig) -> None:
    assert await _takes(rig, rig.message(name="value"), over=0)
    assert not await _takes(rig, rig.message(name="value"), over=1)
