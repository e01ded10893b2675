"""The loop that several processes share."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from tests.simulation.loop import Owner, SimLoop, Stalled, new_loop


def start(loop: SimLoop, owner: Owner, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
    """A task of a process."""
    task: asyncio.Task[Any] = loop.context_of(owner).run(loop.create_task, work)
    return task


def to_the_end(loop: SimLoop) -> None:
    """Until nothing can happen any more."""
    with pytest.raises(Stalled):
        loop.run_while(lambda: True)


def test_time_jumps_to_the_next_timer() -> None:
    loop, woken = new_loop(Random(1)), []

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((seconds, round(loop.time())))

    owner = loop.process("a")
    start(loop, owner, sleep(3600.0))
    start(loop, owner, sleep(60.0))
    to_the_end(loop)
    assert woken == [(60.0, 60), (3600.0, 3600)]


def test_callbacks_of_one_process_keep_their_order_and_those_of_several_are_mixed_by_the_seed() -> None:
    def told(seed: int) -> list[tuple[str, int]]:
        loop, order = new_loop(Random(seed)), []

        async def count(name: str) -> None:
            for number in range(20):
                await asyncio.sleep(0)
                order.append((name, number))

        for name in ("a", "b"):
            start(loop, loop.process(name), count(name))
        to_the_end(loop)
        return order

    runs = [told(seed) for seed in range(5)]
    assert all([number for who, number in run if who == name] == list(range(20)) for run in runs for name in "ab")
    assert runs[0] == told(0)
    assert len({tuple(run) for run in runs}) == 5


def test_a_process_that_is_killed_takes_no_other_step() -> None:
    loop, said = new_loop(Random(1)), []

    async def work() -> None:
        try:
            async with asyncio.timeout(5.0):
                await asyncio.sleep(10.0)
        finally:
            said.append("finally")

    owner = loop.process("a")
    start(loop, owner, work())
    loop.call_at(1.0, loop.kill, owner, context=loop.server_context)
    to_the_end(loop)
    assert said == []
    assert owner.dead


def test_what_was_asked_of_a_server_happens_although_the_asker_is_dead() -> None:
    loop = new_loop(Random(1))
    happened: list[float] = []
    heard: list[str] = []

    async def ask() -> None:
        answer = loop.create_future()

        def effect() -> None:
            happened.append(loop.time())
            answer.set_result(None)

        loop.call_later(2.0, effect, context=loop.server_context)
        await answer
        heard.append("the answer")

    owner = loop.process("a")
    start(loop, owner, ask())
    loop.call_at(1.0, loop.kill, owner, context=loop.server_context)
    to_the_end(loop)
    assert [round(at) for at in happened] == [2]
    assert heard == []


def test_a_process_that_is_held_back_goes_on_with_what_has_come_meanwhile() -> None:
    loop, woken = new_loop(Random(1)), []

    async def tick() -> None:
        for _ in range(3):
            await asyncio.sleep(1.0)
            woken.append(round(loop.time()))

    owner = loop.process("a")
    start(loop, owner, tick())

    def hold(held: bool) -> None:
        owner.held = held

    loop.call_at(1.5, hold, True, context=loop.server_context)
    loop.call_at(60.0, hold, False, context=loop.server_context)
    to_the_end(loop)
    assert woken == [1, 60, 61]


def test_what_the_loop_does_not_simulate_is_refused() -> None:
    loop = new_loop(Random(1))
    with pytest.raises(NotImplementedError):
        loop.add_reader(0, lambda: None)
