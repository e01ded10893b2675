"""kill -9 anywhere between receive and delete: the end state and the reports are the same."""

import asyncio
import random
import signal
from pathlib import Path

import pytest

from tests.e2e.harness import World, tell

POINTS = 60
AT_ONCE = 4
SEED = 20261123


@pytest.mark.slow
async def test_kill_9_at_any_await_changes_neither_the_end_state_nor_the_reports(tmp_path: Path) -> None:
    counted = tmp_path / "points"
    reference, deaths = await tell(tmp_path / "reference", {"KILL_POINTS": str(counted)})
    assert not deaths
    assert reference.leases == reference.outbox == 0
    number = int(counted.read_text())
    assert number > 5 * POINTS, "too few awaits to choose from: is anything counted?"

    chosen = random.Random(SEED)
    points = [int((slot + chosen.random()) / POINTS * number) + 1 for slot in range(POINTS)]
    limit = asyncio.Semaphore(AT_ONCE)
    died: dict[int, list[int]] = {}
    worlds: dict[int, World] = {}

    async def kill(point: int) -> None:
        async with limit:
            worlds[point], died[point] = await tell(tmp_path / f"kill-{point}", {"KILL_AT": str(point)}, {})

    async with asyncio.TaskGroup() as group:
        for point in points:
            group.create_task(kill(point), name=f"kill at {point}")

    different = {point: world for point, world in worlds.items() if world != reference}
    assert not different, f"of {number} points, these end differently from {reference}: {different}"
    killed = [point for point in points if died[point] == [-signal.SIGKILL]]
    # The number of awaits varies a little between runs, so the last points may lie behind the end.
    assert len(killed) >= 50, f"only {len(killed)} of {POINTS} daemons were killed: {died}"
