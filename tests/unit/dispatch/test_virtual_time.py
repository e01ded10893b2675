"""The clock that these tests run on."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from tests.virtual_time import START, VirtualTimeLoop, virtual_runtime


async def test_minutes_pass_in_no_time_and_both_clocks_agree() -> None:
    runtime, began = virtual_runtime(), time.monotonic()
    assert (runtime.monotonic(), runtime.now()) == (0.0, START)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(300):
            await runtime.sleep(3600)
    assert runtime.monotonic() == pytest.approx(300)
    assert runtime.now() == pytest.approx(START + 300)
    assert time.monotonic() - began < 1


async def test_timers_go_off_in_their_order() -> None:
    seen: list[float] = []

    async def note(delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        seen.append(asyncio.get_running_loop().time())

    async with asyncio.TaskGroup() as group:
        for delay_s in (90_000.0, 0.5, 20.0):
            group.create_task(note(delay_s))
    assert seen == [pytest.approx(0.5), pytest.approx(20), pytest.approx(90_000)]


async def test_time_stands_still_while_a_thread_works() -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as executor:
        async with asyncio.timeout(60):  # a timer that the loop could jump to
            assert not await loop.run_in_executor(executor, Event().wait, 0.05)
    assert loop.time() == 0
    await asyncio.to_thread(lambda: None)  # the loop's own threads are ended in time, too
    await asyncio.sleep(5)
    assert loop.time() == pytest.approx(5)


def test_a_wait_for_nothing_is_told() -> None:
    loop = VirtualTimeLoop()
    try:
        with pytest.raises(RuntimeError, match="everything waits"):
            loop.run_until_complete(asyncio.Event().wait())
    finally:
        loop.close()
