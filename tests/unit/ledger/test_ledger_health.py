"""A disk that hangs is told, although every caller has long had its error."""

import asyncio
import threading

import pytest

from agentd.core import TransientError
from agentd.ledger.sqlite.thread import WorkThread
from tests.conformance.ledger.rig import Event
from tests.unit.ledger.conftest import Open


async def test_a_thread_knows_how_long_it_has_been_at_its_work() -> None:
    thread, going_on = WorkThread("test"), threading.Event()
    assert thread.busy_s == 0
    begun = threading.Event()

    def work() -> str:
        begun.set()
        going_on.wait(10)
        return "done"

    first, second = thread.submit(work), thread.submit(str, "queued")
    begun.wait(10)
    assert thread.busy_s > 0
    assert thread.busy_s <= thread.busy_s
    going_on.set()
    assert (first.result(10), second.result(10)) == ("done", "queued")
    assert thread.submit(lambda: thread.busy_s).result(10) < 10
    thread.shutdown()
    assert thread.busy_s == 0


@pytest.mark.slow
@pytest.mark.parametrize(("thread", "work"), [("_write_thread", "transaction"), ("_read_thread", "read")])
async def test_a_thread_that_hangs_is_told_when_nobody_waits_for_it_any_more(
    open_ledger: Open, thread: str, work: str
) -> None:
    ledger = await open_ledger(busy_timeout_s=0.01, operation_timeout_s=0.1)
    await ledger.admit(Event(1).admission())
    assert ledger.check() is None
    going_on = threading.Event()
    hanging = getattr(ledger, thread).submit(going_on.wait, 30)  # as a call does whose disk is gone
    with pytest.raises(TransientError, match="got no answer"):
        await (ledger.admit(Event(2).admission()) if work == "transaction" else ledger.lookup("event/1"))
    async with asyncio.timeout(15):
        while (wrong := ledger.check()) is None:
            await asyncio.sleep(0.05)
    assert wrong.startswith(f"one {work} has taken 5 s (allowed: 5.01 s)")
    going_on.set()
    await asyncio.wrap_future(hanging)
    async with asyncio.timeout(5):
        while ledger.check() is not None:
            await asyncio.sleep(0.05)
