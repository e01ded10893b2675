"""How often a queue without a long poll is looked into, on a virtual clock."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from agentd.bus import Received
from agentd.bus.polling import Polling
from tests.virtual_time import VirtualTimeLoop, about, virtual_runtime

T = TypeVar("T")
MESSAGE = Received("id", "receipt", "body", 1, None, None)


def run(work: Coroutine[Any, Any, T]) -> T:
    """On a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


@dataclass(slots=True)
class Looks:
    """When it was looked, and from when on there is a message."""

    comes_at: float = float("inf")
    at: list[float] = field(default_factory=list)
    until: list[float] = field(default_factory=list)

    async def __call__(self, within_s: float) -> Sequence[Received]:
        now = asyncio.get_running_loop().time()
        self.at.append(now)
        self.until.append(now + within_s)
        return [MESSAGE] if now >= self.comes_at else []


def polling() -> Polling:
    """From a tenth of a second to a second."""
    return Polling(virtual_runtime(), least_s=0.1, most_s=1.0)


def test_first_look_is_at_once_and_may_be_the_only_one() -> None:
    async def play() -> list[float]:
        looks = Looks()
        assert await polling().until_found(looks, wait_s=0) == []
        return looks.at

    assert run(play()) == [0.0]


def test_last_look_is_when_the_wait_is_over() -> None:
    async def play() -> list[float]:
        looks = Looks()
        assert await polling().until_found(looks, wait_s=0.25) == []
        return looks.at

    assert run(play()) == [about(at) for at in (0.0, 0.1, 0.2, 0.25)]


def test_every_look_has_until_a_little_after_the_wait() -> None:
    async def play() -> list[float]:
        looks = Looks()
        await polling().until_found(looks, wait_s=5)
        return looks.until

    assert run(play()) == [about(9.0)] * len(run(play()))


def test_idle_queue_is_looked_into_once_a_second_and_a_new_one_sooner() -> None:
    async def play() -> list[float]:
        looks, poll = Looks(), polling()
        for _ in range(10):
            await poll.until_found(looks, wait_s=20)
        return looks.at

    at = run(play())
    pauses = [after - before for before, after in pairwise(at)]
    assert pauses[0] == about(0.1)
    assert max(pauses) == about(1.0)
    assert len(at) < 200 + 60


def test_message_waits_a_tenth_longer_than_the_quiet_before_it_at_most() -> None:
    async def play(quiet_s: float) -> float:
        looks, poll = Looks(comes_at=0.0), polling()
        await poll.until_found(looks, wait_s=20)
        looks.comes_at = quiet_s
        while not await poll.until_found(looks, wait_s=20):
            pass
        return looks.at[-1] - quiet_s

    for quiet_s in (0.01, 0.5, 3.3, 8.0, 100.0):
        late_s = run(play(quiet_s))
        assert 0 <= late_s <= min(max(quiet_s / 10, 0.1), 1.0) + 0.001
